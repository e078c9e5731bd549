"""Weights are packed in pieces, of which none is large, as if they were packed whole."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu import packing
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.formats import NAMES
from raylax.kernels.cpu.packing import pieces
from raylax.kernels.cpu.weights import map_weights
from raylax.kernels.families import weights_of
from raylax.kernels.options import ModelOptions
from tests.support.checkpoints import write_checkpoint
from tests.support.safetensors_files import save_as


def packed(checkpoint: Path, to: Path, name: str, threads: int = 2) -> tuple[bytes, list[float]]:
    """The file of weights, and what was heard of it."""
    heard = list[float]()
    options = ModelOptions(name, threads=threads, max_step_tokens=8, max_sequence_length=64)
    to.mkdir()
    blueprint = Blueprint(open_checkpoint(checkpoint), options)
    blueprint.pack(to, lambda stage, share: heard.append(share))
    return (to / "weights.bin").read_bytes(), heard


@pytest.mark.parametrize("name", NAMES)
def test_pieces_are_as_the_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gate and up by turns, queries, keys and values in a row, a vocabulary of no whole panels."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", "llama3-untied-biased")

    whole, _ = packed(checkpoint, tmp_path / "whole", name, threads=1)
    monkeypatch.setattr(packing, "AT_ONCE", 1)
    apart, _ = packed(checkpoint, tmp_path / "apart", name)

    assert whole == apart


def test_no_piece_is_larger_than_it_may_be() -> None:
    """Unless a single panel is. They are all of the weights, each once."""
    from raylax.kernels.families import spec_of

    config = {
        "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": False,
    }  # fmt: skip
    weights = weights_of(spec_of(config))

    found = list(pieces(weights.values(), 2))

    assert max(one.weights for one in found) <= packing.AT_ONCE
    for name, weight in weights.items():
        for layer in range(2 if weight.layered else 1):
            own = [(p.first, p.end) for p in found if p.weight.name == name and p.layer == layer]
            assert own[0][0] == 0 and own[-1][1] == weight.shape[0]
            assert all(a[1] == b[0] for a, b in zip(own, own[1:], strict=False))


def test_what_is_heard_rises_with_what_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evenly, the embedding included."""
    monkeypatch.setattr(packing, "AT_ONCE", 1)
    _, heard = packed(write_checkpoint(tmp_path / "one"), tmp_path / "packed", "q0f32")

    steps = np.diff([0.0, *heard])
    assert heard[-1] == 1.0 and steps.min() > 0 and steps.max() < 0.1


def test_bf16_is_moved_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No f32 is made of it: not even of a NaN, whose bits rounding would change."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", torch_dtype="bfloat16")
    file = checkpoint / "model.safetensors"
    bits = {name: to_bf16(values) for name, values in load_file(file).items()}
    bits["model.layers.1.mlp.down_proj.weight"][3, 5] = 0xFFFF
    save_as(file, bits, "BF16")

    packed(checkpoint, tmp_path / "packed", "auto")

    options = ModelOptions("auto", max_step_tokens=8, max_sequence_length=64)
    table = Blueprint(open_checkpoint(checkpoint), options).program.table
    down = map_weights(tmp_path / "packed", table)["w_down"][1]
    rows = down.view(np.uint16).reshape(2, 48, 32, 2).transpose(0, 2, 1, 3).reshape(64, 96)
    assert np.array_equal(rows, bits["model.layers.1.mlp.down_proj.weight"])


def test_float16_stays_float16(tmp_path: Path) -> None:
    """With `auto`, whatever a bf16 would have lost."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", torch_dtype="float16")
    file = checkpoint / "model.safetensors"
    halves = {name: values.astype(np.float16) for name, values in load_file(file).items()}
    save_file(halves, file)

    packed(checkpoint, tmp_path / "packed", "auto")

    options = ModelOptions("auto", max_step_tokens=8, max_sequence_length=64)
    plan = Blueprint(open_checkpoint(checkpoint), options)
    down = map_weights(tmp_path / "packed", plan.program.table)["w_down"][1]
    rows = down.view(np.float16).reshape(2, 96, 32).transpose(0, 2, 1).reshape(64, 96)
    assert plan.program.quantization == "q0f16"
    assert np.array_equal(rows, halves["model.layers.1.mlp.down_proj.weight"])
