"""Families that GPUs compute beside Llama's kind: tiny models, and what transformers says."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.options import ModelOptions
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS as CONFIGS
from tests.support.paths import GOLDENS as GOLDENS

FAMILIES = (
    "qwen3-odd", "gemma", "gemma2", "gemma3", "olmo2", "olmo3", "smollm3", "phi2", "glm4",
    "granite", "starcoder2", "stablelm-parallel", "gpt2", "pythia", "neox-in-turn", "ministral",
    "cohere2", "nemotron", "exaone4",
)  # fmt: skip
"""Of `family_configs.CONFIGS`: every trait that a GPU computes is in one of them."""
LENGTH = 42
"""Of a prompt: windows are shorter."""
BOUND = 2e-3
"""Of the logits' scale, as near as f16 comes: at the median, for a row whose best keys are nearly
as good as each other multiplies what was rounded."""


def options(target: str, library: Path | None = None) -> ModelOptions:
    """In f16. `library`: machine code."""
    named = None if library is None else str(library)
    sizes = ("q0f16", "auto", "cuda:0", target, 2, 128, 64, 256)
    return ModelOptions(*sizes, library=named)


def written(directory: Path, name: str) -> Path:
    """The checkpoint of a family, and beside it `expected.npz`: ids of a prompt, and the logits of
    its last tokens."""
    path = write_family(directory / name, name)
    with np.load(GOLDENS / "families.npz") as file:
        ids, logits = file[f"{name}/ids"], file[f"{name}/logits"]
    first = len(ids) - len(logits)
    np.savez(path / "expected.npz", ids=ids[:LENGTH], logits=logits[: LENGTH - first])
    return path


def expected(checkpoint: Path) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Both."""
    with np.load(checkpoint / "expected.npz") as file:
        return file["ids"].tolist(), file["logits"]


def form(checkpoint: Path, target: str) -> DeviceForm:
    """What its model is there."""
    return form_of(open_checkpoint(checkpoint), options(target))
