"""The demo model as GPU tests serve it, and its machine code."""

import json
from pathlib import Path

import ml_dtypes as ml_dtypes  # by which numpy knows bfloat16
import numpy as np
from safetensors.numpy import load_file, save_file

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.cubins.build import cubins_for
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.variants.table import all_for
from raylax.kernels.options import silent
from raylax.kernels.store import Store
from tests.support.paths import ROOT

DEMO = ROOT / "deploy" / "demo_model"
FILE = "model.safetensors"
CHIP = 90
LAYERS = 2
"""Of the five: an interpreter takes its time."""


def first_layers(directory: Path, count: int = LAYERS) -> Path:
    """A checkpoint of the demo model's first layers, in this directory."""
    if not directory.exists():
        directory.mkdir()
        config = json.loads((DEMO / "config.json").read_text())
        (directory / "config.json").write_text(json.dumps({**config, "num_hidden_layers": count}))
        weights = load_file(DEMO / FILE)
        names = [f"model.layers.{i}." for i in range(count, config["num_hidden_layers"])]
        kept = {name: one for name, one in weights.items() if not name.startswith(tuple(names))}
        save_file(kept, directory / FILE)
    return directory


def naming(directory: Path, whole: Path, tokens: list[int]) -> Path:
    """The same model with logits for these of its tokens alone, in this directory."""
    directory.mkdir()
    config, weights = json.loads((whole / "config.json").read_text()), load_file(whole / FILE)
    named = {"tie_word_embeddings": False, "draft_vocab_size": len(tokens)}
    (directory / "config.json").write_text(json.dumps({**config, **named}))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"][tokens]
    weights["d2t"] = np.array(tokens) - np.arange(len(tokens))
    save_file(weights, directory / FILE)
    return directory


def demo_cubins(store: Path) -> Path:
    """In bf16; compiled if they are not there. Raises CompileError without Triton."""
    variants = all_for(open_checkpoint(DEMO).spec, CHIP, "bf16")
    return cubins_for(variants, CHIPS[CHIP], Store(store), silent)


def cubins_of(form: DeviceForm, store: Path) -> Path:
    """Of any model."""
    return cubins_for(form.variants(), form.chip, Store(store), silent)
