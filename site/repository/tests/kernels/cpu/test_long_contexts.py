"""Long sequences: their keys may be split over threads, and every bit stays the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.options import ModelOptions
from tests.support.batches import (
    PAGE,
    Floats,
    Piece,
    batch_of,
    run,
)
from tests.support.checkpoints import write_checkpoint

LONGEST = 32768
PAGES = np.random.default_rng(3).permutation(LONGEST // PAGE).tolist()
PROMPT = np.random.default_rng(4).integers(0, 99, 1500).tolist()
Load = Callable[[str, int], CpuModel]
Doubles = npt.NDArray[Any]


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two KV heads: a sequence that decodes is two tasks, or many where it is split."""
    path = tmp_path_factory.mktemp("long")
    return write_checkpoint(path, num_hidden_layers=1, max_position_embeddings=LONGEST)


@pytest.fixture(scope="module")
def load(one_layer: Path, store: Path) -> Load:
    def load(kv: str, threads: int) -> CpuModel:
        options = ModelOptions("q0f32", kv, "cpu", None, threads, 512, 64, LONGEST)
        return load_model(one_layer, options, pages=len(PAGES), store=store)

    return load


def prefill(model: CpuModel, *sizes: int) -> Floats:
    """The logits at the end of every 300 tokens, which come in chunks of these sizes."""
    logits, start = [], 0
    while start < len(PROMPT):
        for size in sizes:
            last = run(model, Piece(PROMPT[start : start + size], start, PAGES))
            start += size
        logits.append(last)
    return np.concatenate(logits)


@pytest.mark.parametrize("kv, threads", [("f32", 3), ("bf16", 2), ("int8", 4)])
def test_split_or_not_the_bits_are_the_same(load: Load, kv: str, threads: int) -> None:
    """One thread splits nothing; several split decodes and short chunks, not long ones."""
    want = prefill(load(kv, 1), 300)

    model = load(kv, threads)

    for sizes in ([300], [236, 64], [272, *[7] * 4], [295, *[1] * 5]):
        assert np.array_equal(prefill(model, *sizes), want)


def test_a_split_sequence_in_any_batch(load: Load) -> None:
    """Beside short ones its keys are cut elsewhere; beside many long ones not at all."""
    model = load("f32", 3)
    want = prefill(model, 300)[-1]

    for beside in (1, 12, 30):
        others = [Piece(PROMPT[-1:], 40 * i, PAGES[100:]) for i in range(beside)]
        got = run(model, Piece(PROMPT[-1:], len(PROMPT) - 1, PAGES), *others)

        assert np.array_equal(got[0], want)


def fill(model: CpuModel, tokens: list[int], size: int = 512) -> None:
    """Writes all keys and values in a fraction of the time that a prefill takes.

    In a model of one layer they depend on nothing but a token and its position. So each chunk
    comes as a sequence of its own, whose pages are those of the long one at these positions.
    """
    for start in range(0, len(tokens), size):
        chunk = batch_of([Piece(tokens[start : start + size], start, PAGES)])
        pages = np.array([PAGES[start // PAGE : (start + size) // PAGE]], np.int32)
        alone = chunk._replace(kv_lengths=np.array([size], np.int32), page_table=pages)
        model.step(alone._replace(rows=chunk.rows[:0]))


def last_logits(path: Path, tokens: list[int]) -> Doubles:
    """The model of one layer in numpy, only the angles in f32 as they are in transformers."""
    config = json.loads((path / "config.json").read_text())
    stored = load_file(path / "model.safetensors")
    weights: dict[str, Doubles] = {name: w.astype(np.float64) for name, w in stored.items()}
    embedding, dim = weights["model.embed_tokens.weight"], config["head_dim"]
    exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    frequencies = 1 / np.float32(config["rope_theta"]) ** exponents
    turns = np.exp(1j * np.outer(np.arange(len(tokens), dtype=np.float32), frequencies))

    def product(x: Doubles, name: str) -> Doubles:
        found: Doubles = x @ weights[f"model.layers.0.{name}_proj.weight"].T
        return found

    def norm(x: Doubles, name: str) -> Doubles:
        size = np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"])
        scaled: Doubles = x / size * weights[f"model.{name}.weight"]
        return scaled

    def heads(x: Doubles, name: str) -> Doubles:
        split: Doubles = product(x, f"self_attn.{name}").reshape(len(x), -1, dim).swapaxes(0, 1)
        return split

    def rotated(x: Doubles) -> Doubles:
        turned = (x[..., : dim // 2] + 1j * x[..., dim // 2 :]) * turns[-x.shape[1] :]
        return np.concatenate([turned.real, turned.imag], -1)

    x = embedding[tokens]
    normed = norm(x, "layers.0.input_layernorm")
    keys, values = rotated(heads(normed, "k")), heads(normed, "v")
    queries = rotated(heads(normed[-1:], "q")).reshape(len(keys), -1, dim)
    weight = np.exp(queries @ keys.transpose(0, 2, 1) / np.sqrt(dim))
    attended = weight / weight.sum(-1, keepdims=True) @ values
    x = x[-1] + product(attended.reshape(-1), "self_attn.o")
    normed = norm(x, "layers.0.post_attention_layernorm")
    gate, up = product(normed, "mlp.gate"), product(normed, "mlp.up")
    x = x + product(gate / (1 + np.exp(-gate)) * up, "mlp.down")
    logits: Doubles = norm(x, "norm") @ embedding.T
    return logits


@pytest.mark.parametrize("kv, several, tolerance", [("f32", 3, 1e-4), ("int8", 4, 0.02)])
def test_a_context_of_32768_tokens(
    load: Load, one_layer: Path, kv: str, several: int, tolerance: float
) -> None:
    """The last token against numpy, on one thread and split over several."""
    tokens = np.random.default_rng(6).integers(0, 99, LONGEST).tolist()
    want = last_logits(one_layer, tokens)
    got = []

    for threads in (1, several):
        model = load(kv, threads)
        fill(model, tokens)
        got.append(run(model, Piece(tokens[-1:], LONGEST - 1, PAGES))[0])

    assert np.abs(got[0] - want).max() < tolerance * np.abs(want).max()
    assert np.array_equal(*got)
