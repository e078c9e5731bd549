"""What artefacts are named by: all that is in them, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.checkpoints import LLAMA3_ROPE, write_checkpoint

OPTIONS = ModelOptions("q0f32", max_step_tokens=64, max_step_rows=8, max_sequence_length=64)


def test_other_weights_are_packed_anew(checkpoint: Path, tmp_path: Path) -> None:
    """A checkpoint that was replaced is another one; the compiled step serves both."""
    one = Blueprint(open_checkpoint(checkpoint), OPTIONS)
    other = Blueprint(open_checkpoint(write_checkpoint(tmp_path)), OPTIONS)

    assert one.library_key == other.library_key
    assert one.weights_key != other.weights_key


def test_weights_of_another_config_are_packed_anew(tmp_path: Path) -> None:
    """One that was mended in its place, where the same tensors have other heads: smaller ones are
    padded, so they lie elsewhere."""
    path = write_checkpoint(tmp_path)
    wide = Blueprint(open_checkpoint(path), OPTIONS)
    config = json.loads((path / "config.json").read_text())
    config |= {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 16}
    (path / "config.json").write_text(json.dumps(config))
    narrow = Blueprint(open_checkpoint(path), OPTIONS)

    assert narrow.program.table["w_qkv"].shape != wide.program.table["w_qkv"].shape
    assert narrow.weights_key != wide.weights_key


SAME: list[dict[str, Any]] = [
    {"max_step_tokens": 32}, {"max_step_rows": 4}, {"max_sequence_length": 32},
    {"threads": 1}, {"threads": 5}, {"degree": Degree(1, 2)},
]  # fmt: skip
OTHER: list[dict[str, Any]] = [
    {"quantization": "q0bf16"}, {"kv_dtype": "int8"}, {"target": "x86-64-v3"},
    {"degree": Degree(2)},
]  # fmt: skip


def test_the_library_depends_on_what_is_compiled_into_it(checkpoint: Path) -> None:
    """Formats, target and shards are; how much a step may have, threads and stages are not."""
    read = open_checkpoint(checkpoint)
    base = Blueprint(read, OPTIONS).library_key

    same = [Blueprint(read, replace(OPTIONS, **changed)) for changed in SAME]
    others = [Blueprint(read, replace(OPTIONS, **changed)) for changed in OTHER]

    assert {blueprint.library_key for blueprint in same} == {base}
    assert len({base, *(blueprint.library_key for blueprint in others)}) == 1 + len(OTHER)


@pytest.mark.parametrize(
    ("changed", "shared"),
    [
        ({"rope_theta": 500000.0, "rope_scaling": LLAMA3_ROPE}, True),
        ({"num_hidden_layers": 3}, True),
        ({"max_position_embeddings": 2048}, True),
        ({"architectures": ["MistralForCausalLM"], "model_type": "mistral"}, True),
        ({"rms_norm_eps": 1e-6}, False),
        ({"vocab_size": 100}, False),
        ({"intermediate_size": 128}, False),
        ({"num_key_value_heads": 4}, False),
        ({"attention_bias": True}, False),
        ({"tie_word_embeddings": False}, False),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else str(value),
)
def test_models_share_a_library_whose_code_is_the_same(
    checkpoint: Path, tmp_path: Path, changed: dict[str, Any], shared: bool
) -> None:
    """And what is emitted for them is, to the letter, or it is not."""
    one = Blueprint(open_checkpoint(checkpoint), OPTIONS)
    other = Blueprint(open_checkpoint(write_checkpoint(tmp_path, **changed)), OPTIONS)

    assert (emitted(one) == emitted(other)) is shared
    assert (one.library_key == other.library_key) is shared


def emitted(blueprint: Blueprint) -> list[str]:
    """The text of both functions, each in its first variant."""
    e = blueprint.emitter
    return [e.emit(name, e.variants(name)[0]).script() for name in e.functions]


def test_what_the_kernels_cannot_index_is_refused(checkpoint: Path) -> None:
    """Pages have 64 bits, but a token's slot has 32; and so have most tensors' elements."""
    program = Blueprint(open_checkpoint(checkpoint), OPTIONS).program
    wide = replace(OPTIONS, max_step_tokens=1 << 25)

    assert program.with_pages(1 << 24).table["pages"].elements > 2**31
    with pytest.raises(CompileError, match="there may be 134217727 pages, found 134217728"):
        program.with_pages(1 << 27)
    with pytest.raises(CompileError, match="has .* elements, the limit is 2147483647"):
        Blueprint(open_checkpoint(checkpoint), wide).program.with_pages(1)
