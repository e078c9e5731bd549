"""A checkpoint of finite weights that has no answer to one token."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.support.checkpoints import write_checkpoint

POISON = 58
"""The token, `Z` as text: behind it every logit is NaN."""


def write_poisonous(path: Path, poison: int = POISON) -> Path:
    """Only that token is anything in the first dimension of the hidden state, and there the first
    layer's MLP overflows. So the second layer's keys and values are no numbers, either."""
    write_checkpoint(path)
    weights = {
        name: weight.copy() for name, weight in load_file(path / "model.safetensors").items()
    }
    embedding = weights["model.embed_tokens.weight"]
    embedding[:, 0] = 0
    embedding[poison] = np.eye(embedding.shape[1])[0]
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[0] = 0
    for half in ("gate", "up"):
        weights[f"model.layers.0.mlp.{half}_proj.weight"][0, 0] = 1e25
    save_file(weights, path / "model.safetensors")
    return path
