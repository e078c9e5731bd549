"""A checkpoint that says one text, whatever it is asked: a real engine for what a model of random
weights would never say, a tool call for instance."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.support.checkpoints import write_checkpoint

RARE = '"#$%&@^`|~'
"""Characters whose tokens are given up for pieces of the text."""
END = 1
CALL = (
    "I look. ",
    "<tool_call>",
    '{"name": "look", ',
    '"arguments": {"city": "Rome"}}',
    "</tool_call>",
)


def write_scripted(path: Path, pieces: Sequence[str] = CALL) -> Path:
    """Each piece is a token, and the likeliest one after the piece before. The first piece follows
    whatever is no piece; after the last one the answer ends.

    A token of the text is one dimension of the hidden state, all others share a dimension. The
    first layer's MLP turns each dimension into the next, far above what was there; attention and
    the second layer add nothing.
    """
    write_checkpoint(path)
    tokens = [ord(letter) - 32 for letter in RARE[: len(pieces)]]
    rename(path / "tokenizer.json", dict(zip(tokens, pieces, strict=True)))
    weights = load_file(path / "model.safetensors")
    for name, weight in weights.items():
        weight[:] = 1 if name.endswith("norm.weight") else 0
    embedding = weights["model.embed_tokens.weight"]
    embedding[:, 0] = 1
    for dimension, token in enumerate([*tokens, END], start=1):
        embedding[token] = np.eye(embedding.shape[1])[dimension]
    mlp = "model.layers.0.mlp."
    for dimension in range(len(pieces) + 1):
        weights[mlp + "gate_proj.weight"][dimension, dimension] = 1
        weights[mlp + "up_proj.weight"][dimension, dimension] = 1
        weights[mlp + "down_proj.weight"][dimension + 1, dimension] = 10
    save_file(weights, path / "model.safetensors")
    return path


def rename(tokenizer: Path, pieces: dict[int, str]) -> None:
    """In the vocabulary: the byte-level letter of a space is Ġ there."""
    content = json.loads(tokenizer.read_text())
    vocab: dict[str, int] = content["model"]["vocab"]
    named = {pieces.get(id, name).replace(" ", "Ġ"): id for name, id in vocab.items()}
    content["model"]["vocab"] = named
    tokenizer.write_text(json.dumps(content))
