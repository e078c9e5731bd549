"""Models in GGUF files: the same weights as in the checkpoints that they are made of, and the same
logits as transformers has."""

import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylax.kernels.checkpoints.gguf.blocks import KNOWN
from raylax.kernels.checkpoints.gguf.checkpoint import GgufCheckpoint
from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.errors import CheckpointError
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, run
from tests.support.checkpoints import ODD_SIZES, VARIANTS, write_checkpoint
from tests.support.gguf_files import write_gguf
from tests.support.paths import GOLDENS
from tests.support.rows import same_by_rows

PAGES = [7, 3, 11, 5, 2, *range(20, 34)]
BIASED = "hidden-100-dim-80-mlp-biased"
MADE = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
"""Types that the package can write."""


@pytest.mark.parametrize("variant", [*VARIANTS, BIASED])
def test_a_file_has_the_weights_and_sizes_of_its_checkpoint(variant: str, tmp_path: Path) -> None:
    """Rows of queries and keys that lie in pairs are put where rotations by halves want them."""
    want = HuggingFaceCheckpoint(write_gguf(tmp_path, variant))
    found = open_checkpoint(tmp_path / "model.gguf")

    for name in (
        "hidden", "layers", "heads", "kv_heads", "head_dim", "intermediate", "vocab",
        "tied_embeddings", "qkv_bias", "output_bias", "mlp_bias", "max_positions",
    ):  # fmt: skip
        assert getattr(found.spec, name) == getattr(want.spec, name), name
    for name in want.tensors:
        assert np.array_equal(found.tensor(name), want.tensor(name)), name
        same_by_rows(partial(found.tensor, name), name)
        same_by_rows(partial(want.tensor, name), name)


@pytest.mark.parametrize("variant", [*VARIANTS, BIASED])
def test_its_logits_are_transformers(variant: str, store: Path, tmp_path: Path) -> None:
    """Of the checkpoint that it was made of, frequencies that were divided by factors included."""
    write_gguf(tmp_path, variant)
    with np.load(GOLDENS / ("sizes.npz" if variant in ODD_SIZES else "logits.npz")) as file:
        ids, want = file[f"{variant}/ids"].tolist(), file[f"{variant}/logits"][-32:]
    options = ModelOptions("q0f32", "auto", "cpu", None, 2, 512, 32, 512)

    model = load_model(tmp_path / "model.gguf", options, 64, store)
    got = run(model, Piece(ids, 0, PAGES), rows=np.arange(len(ids), dtype=np.int32)[-32:])

    assert np.abs(got - want).max() / np.abs(want).max() < 1e-4


def test_it_is_run_by_the_library_of_its_checkpoint(tmp_path: Path) -> None:
    """Though its numbers have fewer digits than a config has."""
    whole, options = open_checkpoint(write_gguf(tmp_path)), ModelOptions("q0f32")
    file = open_checkpoint(tmp_path / "model.gguf")

    assert file.spec.norm_eps != whole.spec.norm_eps
    assert Blueprint(file, options).library_key == Blueprint(whole, options).library_key


@pytest.mark.parametrize("kind", MADE)
def test_blocks_come_near_what_they_were_made_of(kind: str, tmp_path: Path) -> None:
    want = HuggingFaceCheckpoint(write_gguf(tmp_path, kind=kind))
    found = GgufCheckpoint(tmp_path / "model.gguf")
    name = "model.layers.1.mlp.gate_proj.weight"

    weights, near = want.tensor(name), {"4": 0.1, "5": 0.06, "8": 0.01}.get(kind[1], 0.005)

    assert 0 < np.abs(found.tensor(name) - weights).max() < near * np.abs(weights).max()
    assert found.dtype == {"F16": "float16"}.get(kind, "bfloat16")


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
def test_sizes_need_not_be_whole_vectors(kind: str, store: Path, tmp_path: Path) -> None:
    """Heads of 16 are computed as 32 dims, whatever their weights lie in; logits stay near."""
    variant = "hidden-96-dim-16-vocab-31"
    write_gguf(tmp_path, variant, kind)
    with np.load(GOLDENS / "sizes.npz") as file:
        ids, want = file[f"{variant}/ids"].tolist(), file[f"{variant}/logits"][-1]
    options = ModelOptions("q0f32", "auto", "cpu", None, 2, 512, 32, 512)

    got = run(load_model(tmp_path / "model.gguf", options, 64, store), Piece(ids, 0, PAGES))

    assert np.abs(got[0] - want).max() < 0.1 * np.abs(want).max()


def test_plain_numbers_are_had_as_they_lie_there(tmp_path: Path) -> None:
    """But for rows that must be moved."""
    write_gguf(tmp_path, kind="BF16")
    found = open_checkpoint(tmp_path / "model.gguf")

    bits = found.bits("model.layers.0.mlp.up_proj.weight", "bfloat16")

    assert bits is not None and bits.shape == (96, 64)
    assert found.bits("model.layers.0.mlp.up_proj.weight", "float16") is None
    assert found.bits("model.layers.0.self_attn.q_proj.weight", "bfloat16") is None


def test_texts_lie_where_those_of_other_checkpoints_do(tmp_path: Path) -> None:
    """Made once, with what ends an answer."""
    write_gguf(tmp_path, changed={"tokenizer.chat_template": "{{ messages }}"})
    found = open_checkpoint(tmp_path / "model.gguf")

    assert {file.name for file in found.text.iterdir()} == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"
    }  # fmt: skip
    assert "messages" in (found.text / "tokenizer_config.json").read_text()
    assert (found.text / "generation_config.json").read_text() == '{"eos_token_id": [1]}'
    assert open_checkpoint(tmp_path / "model.gguf").text == found.text


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    write_gguf(tmp_path)
    (tmp_path / "model.gguf").rename(tmp_path / "model-00001-of-00002.gguf")

    with pytest.raises(CheckpointError, match="is one of 2 files .* model-00002-of-00002.gguf is"):
        open_checkpoint(tmp_path / "model-00001-of-00002.gguf")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"general.alignment": 7}, "general.alignment must be a multiple of 8, found 7"),
        ({"llama.rope.scaling.type": "ntk"}, "rope.scaling.type 'ntk' is not supported"),
        ({"llama.rope.scaling.type": "yarn"}, "factor must be a positive number, found None"),
        ({"tokenizer.ggml.pre": "x"}, "tokenizer.ggml.pre 'x' is not supported; supported are"),
        ({"tokenizer.ggml.model": "bert"}, "'bert' is not supported; supported are gpt2, llama"),
        ({"tokenizer.ggml.eos_token_id": 99}, "eos_token_id must be below 99, found 99"),
        ({"llama.block_count": 3}, "tensor model.layers.2.input_layernorm.weight .* is missing"),
        ({"llama.block_count": -1}, "num_hidden_layers must be a positive integer"),
        ({"llama.attention.head_count": "four"}, "head_count must be a number, found 'four'"),
        ({"general.architecture": "bloom"}, "'bloom' is not supported; supported are arcee, coh"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_gguf(tmp_path, changed=changed)

    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(tmp_path / "model.gguf").text  # noqa: B018


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    """Of the first tensor that has it."""
    write_gguf(tmp_path)
    file = tmp_path / "model.gguf"
    content, name = file.read_bytes(), b"blk.0.ffn_up.weight"
    at = content.index(name) + len(name) + 4 + 2 * 8
    file.write_bytes(content[:at] + struct.pack("<I", 999) + content[at + 4 :])

    with pytest.raises(CheckpointError, match="blk.0.ffn_up.weight: type 999 is not read; those"):
        open_checkpoint(file)
    assert "Q4_K" in KNOWN


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(tmp_path_factory.mktemp("whole"))
    write_gguf(directory)
    return directory / "model.gguf"


def damaged(whole: Path, content: bytes) -> None:
    """Either it is read, or it is refused in words."""
    file = whole.with_name("damaged.gguf")
    file.write_bytes(content)
    try:
        checkpoint = open_checkpoint(file)
        assert checkpoint.text
    except CheckpointError as error:
        assert "\n" not in str(error)


@settings(max_examples=150)
@given(at=st.integers(0, 10_000), put=st.binary(min_size=1, max_size=9))
def test_a_header_may_say_anything(whole: Path, at: int, put: bytes) -> None:
    content = whole.read_bytes()
    damaged(whole, content[:at] + put + content[at + len(put) :])


@settings(max_examples=40)
@given(share=st.floats(0, 1))
def test_a_file_that_was_cut_is_refused(whole: Path, share: float) -> None:
    content = whole.read_bytes()
    damaged(whole, content[: int(share * len(content))])


@pytest.mark.parametrize("field", [8, 16])
def test_counts_beyond_the_file_are_refused_at_once(whole: Path, field: int) -> None:
    """Nothing is set aside for what cannot be there."""
    content = whole.read_bytes()
    file = whole.with_name("counts.gguf")
    file.write_bytes(content[:field] + struct.pack("<Q", 1 << 63) + content[field + 8 :])

    with pytest.raises(CheckpointError, match="not a whole GGUF file: 9223372036854775808"):
        open_checkpoint(file)


def test_a_checkpoint_beside_it_is_another_thing(tmp_path: Path) -> None:
    """A directory is read as one, whatever lies in it."""
    write_checkpoint(tmp_path)
    (tmp_path / "other.gguf").touch()

    assert isinstance(open_checkpoint(tmp_path), HuggingFaceCheckpoint)
