"""Heads of EAGLE's as they lie in files: all kinds of them, and what is wrong with others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.heads.checkpoint import HeadCheckpoint
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import HEADS, Arrays, write_head, write_medusa
from tests.support.torch_files import write_torch_file

Change = Callable[[Arrays], None]


def opened(path: Path, variant: str, change: Change | None = None, **config: Any) -> HeadCheckpoint:
    """A head beside its base, with changed tensors or config."""
    base = write_checkpoint(path / "base", HEADS[variant].base)
    head = write_head(path / "head", variant, **config)
    if change is not None:
        tensors = load_file(head / "model.safetensors")
        change(tensors)
        save_file(tensors, head / "model.safetensors")
    return HeadCheckpoint(head, open_checkpoint(base))


def without(name: str) -> Change:
    return lambda tensors: tensors.__delitem__(name)


def with_tensor(name: str, value: Any) -> Change:
    return lambda tensors: tensors.__setitem__(name, np.asarray(value))


def named(at: int, token: int) -> Change:
    """Whose token `at` is the base's `token`."""

    def change(tensors: Arrays) -> None:
        tensors["d2t"][at] = token - at

    return change


@pytest.mark.parametrize("variant", ["eagle-1", "eagle-3"])
def test_what_torch_has_saved_is_read(variant: str, tmp_path: Path) -> None:
    """As EAGLE's authors publish them."""
    saved = opened(tmp_path, variant)
    (torchs := tmp_path / "torch").mkdir()
    (torchs / "config.json").write_text((saved.path / "config.json").read_text())
    write_torch_file(torchs / "pytorch_model.bin", load_file(saved.path / "model.safetensors"))

    read = HeadCheckpoint(torchs, saved.base)

    for name in saved.tensors:
        assert np.array_equal(read.tensor(name), saved.tensor(name))
    assert read.identity != saved.identity
    assert (read.tokens is None) is (variant == "eagle-1")
    assert np.array_equal(np.array(read.tokens), np.array(saved.tokens))


def test_what_a_head_has_not_is_its_bases(tmp_path: Path) -> None:
    """Embedding, logits, and the norm that makes features."""
    head = opened(tmp_path, "eagle-1-speculators")
    base = head.base

    for name, of_base in (
        ("embed_tokens.weight", "model.embed_tokens.weight"),
        ("lm_head.weight", "lm_head.weight"),
        ("base.norm.weight", "model.norm.weight"),
    ):
        assert np.array_equal(head.tensor(name), base.tensor(of_base))


def test_streams_are_those_that_eagles_authors_take(tmp_path: Path) -> None:
    """Of a config that does not name them."""
    write_checkpoint(tmp_path / "base", "llama3-untied-biased", num_hidden_layers=12)
    head = write_head(tmp_path / "head", "eagle-3", eagle_config=None)

    read = HeadCheckpoint(head, open_checkpoint(tmp_path / "base"))

    assert read.taps == (2, 6, 9)


def test_a_changed_base_is_another_head(tmp_path: Path) -> None:
    """What is packed of a head may be its base's."""
    one = opened(tmp_path / "one", "eagle-1")
    other = write_checkpoint(tmp_path / "other", "llama", seed=3)

    assert HeadCheckpoint(one.path, open_checkpoint(other)).identity != one.identity


@pytest.mark.parametrize(
    ("variant", "config", "message"),
    [
        ("eagle-1", {"vocab_size": 98}, "another base: its vocabulary is 98, the base's 99"),
        ("eagle-1", {"hidden_size": 96}, "another base: its hidden size is 96, the base's 64"),
        ("eagle-3-odd", {"draft_vocab_size": 64}, r"d2t: expected shape \(64,\), found \(65,\)"),
        ("eagle-3", {"draft_vocab_size": 0}, "draft_vocab_size must be a positive .* found 0"),
        ("eagle-1", {"num_hidden_layers": 2}, "num_hidden_layers of a head must be 1, found 2"),
        ("eagle-1", {"layernorms": True}, "layernorms must be false, found True"),
        ("eagle-1", {"intermediate_size": 96}, r"expected shape \(96, 64\), found \(80, 64\)"),
        ("eagle-1", {"hidden_act": "mish"}, "head/config.json: hidden_act 'mish' is not supported"),
        ("eagle-1", {"vocab_size": None}, "head/config.json: vocab_size must be .* found None"),
        ("eagle-3-odd", {"transformer_layer_config": 7}, "must be an object, found 7"),
        ("eagle-3-odd", {"speculators_model_type": "mlp"}, "one of eagle, eagle3, found 'mlp'"),
        ("eagle-3", {"norm_before_residual": 1}, "must be true or false, found 1"),
        (
            "eagle-3",
            {"eagle_config": {"use_aux_hidden_state": False}},
            "use_aux_hidden_state must be true, found False",
        ),
        (
            "eagle-3",
            {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [0, 1, 3]}},
            r"from 0 to the 2 layers of the base, found \[0, 1, 3\]",
        ),
        (
            "eagle-3",
            {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [0, 1]}},
            r"must be \(64, 128\), for 2 residual streams of 64 .* found \(64, 192\)",
        ),
        ("eagle-3", {"eagle_config": None}, r"2 layers of the base, found \[2, 1, -1\]"),
    ],
)
def test_a_lying_config_is_named(
    variant: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """With what it says, and what is so."""
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path, variant, None, **config)


@pytest.mark.parametrize(
    ("variant", "change", "message"),
    [
        ("eagle-1", without("fc.weight"), r"tensor fc.weight of shape \(64, 128\) is missing"),
        ("eagle-3", without("norm.weight"), r"tensor norm.weight of shape \(64,\) is missing"),
        ("eagle-3", without("lm_head.weight"), r"lm_head.weight of shape \(40, 64\) is missing"),
        ("eagle-3", without("d2t"), "names 40 of 99 tokens, and tensor d2t.*is missing"),
        ("eagle-3", named(3, 99), "tensor d2t names token 99, of 99"),
        ("eagle-3", named(3, -1), "tensor d2t names token -1, of 99"),
        ("eagle-3", named(1, 2**40), "tensor d2t names token 1099511627776, of 99"),
        ("eagle-3", with_tensor("d2t", np.zeros(40, np.float32)), "d2t must be whole numbers"),
        (
            "eagle-1",
            with_tensor("fc.weight", np.zeros((64, 128), np.int8)),
            "tensor fc.weight: dtype I8 is not supported, only float32",
        ),
        ("eagle-1", with_tensor("head.bias", np.zeros(4)), "tensor head.bias is not of the model"),
        (
            "eagle-1",
            with_tensor("fc.weight", np.zeros((64, 192), np.float32)),
            r"fc.weight: expected shape \(64, 128\), found \(64, 192\)",
        ),
    ],
)
def test_other_tensors_are_named(
    variant: str, change: Change, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path, variant, change)


def test_a_heads_base_must_have_its_sizes(tmp_path: Path) -> None:
    """Of two heads each is another base's."""
    odd = open_checkpoint(write_checkpoint(tmp_path / "odd", "hidden-100-dim-80-mlp-biased"))

    for variant in ("eagle-1", "eagle-3"):
        head = write_head(tmp_path / variant, variant, vocab_size=201)
        with pytest.raises(CheckpointError) as caught:
            HeadCheckpoint(head, odd)
        assert "64" in str(caught.value) and "100" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_is_no_head_is_named(tmp_path: Path) -> None:
    """Nothing, no JSON, a model, or a head without weights."""
    base = write_checkpoint(tmp_path / "base")
    read = open_checkpoint(base)
    write_medusa(tmp_path / "medusa", "medusa")
    for name, content in (("list", "[]"), ("text", "{"), ("empty", json.dumps({"a": 1}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)

    for place, message in (
        ("nowhere", "no such directory"),
        ("list", "must be a JSON object"),
        ("text", "not valid JSON"),
        ("empty", "model.safetensors is missing"),
        ("medusa", "medusa: are Medusa's heads, not one of EAGLE's"),
        ("base", "num_hidden_layers of a head must be 1, found 2"),
    ):
        with pytest.raises(CheckpointError, match=message):
            HeadCheckpoint(tmp_path / place, read)
