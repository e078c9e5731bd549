"""Families that GPUs compute beside Llama's kind: tiny models, and what transformers says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.families import spec_of
from raylax.kernels.options import ModelOptions
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS as CONFIGS
from tests.support.paths import GOLDENS as GOLDENS

FAMILIES = (
    "qwen3-odd", "gemma", "gemma2", "gemma3", "olmo2", "olmo3", "smollm3", "phi2", "glm4",
    "granite", "starcoder2", "stablelm-parallel", "gpt2", "pythia", "neox-in-turn", "ministral",
    "cohere2", "nemotron", "exaone4", "mixtral", "olmoe", "qwen2-moe-dense", "qwen3-moe",
    "glm4-moe", "ernie-moe", "minimax-m2", "gpt-oss", "gpt-oss-mxfp4",
)  # fmt: skip
"""Of `family_configs.CONFIGS`: every trait that a GPU computes is in one of them."""
LENGTH = 42
"""Of a prompt: windows are shorter."""
BOUND = 2e-3
"""Of the logits' scale, as near as f16 comes: at the median, for a row whose best keys are nearly
as good as each other multiplies what was rounded."""
BOUND_OF_EXPERTS = 5e-3
"""The same where experts count by shares that are made of what was rounded, too."""


def options(target: str, library: Path | None = None) -> ModelOptions:
    """In f16. `library`: machine code."""
    named = None if library is None else str(library)
    sizes = ("q0f16", "auto", "cuda:0", target, 2, 128, 64, 256)
    return ModelOptions(*sizes, library=named)


def written(directory: Path, name: str) -> Path:
    """The checkpoint of a family, and beside it `expected.npz`: ids of a prompt, the logits of its
    last tokens, and how far they may be off."""
    path = write_family(directory / name, name)
    with np.load(GOLDENS / "families.npz") as file:
        ids, logits = file[f"{name}/ids"], file[f"{name}/logits"]
    first = len(ids) - len(logits)
    bound = BOUND_OF_EXPERTS if spec_of(CONFIGS[name]).experts else BOUND
    some = logits[: LENGTH - first]
    np.savez(path / "expected.npz", ids=ids[:LENGTH], logits=some, bound=bound)
    return path


def expected(checkpoint: Path) -> tuple[list[int], npt.NDArray[np.float32], float]:
    """All three."""
    with np.load(checkpoint / "expected.npz") as file:
        return file["ids"].tolist(), file["logits"], float(file["bound"])


def form(checkpoint: Path, target: str, quantization: str = "q0f16") -> DeviceForm:
    """What its model is there."""
    asked = replace(options(target), quantization=quantization)
    return form_of(open_checkpoint(checkpoint), asked)
