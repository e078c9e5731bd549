"""What artefacts are named by: all that is in them, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from tests.support.checkpoints import write_checkpoint

OPTIONS = ModelOptions("q0f32", max_step_tokens=64, max_step_rows=8, max_sequence_length=64)


def test_other_weights_are_packed_anew(checkpoint: Path, tmp_path: Path) -> None:
    """A checkpoint that was replaced is another one; the compiled step serves both."""
    one = Blueprint(open_checkpoint(checkpoint), OPTIONS)
    other = Blueprint(open_checkpoint(write_checkpoint(tmp_path)), OPTIONS)

    assert one.library_key == other.library_key
    assert one.weights_key != other.weights_key


def test_the_library_depends_on_what_is_compiled_into_it(checkpoint: Path) -> None:
    """Format, threads and target do; how many tokens a step may have does not."""
    read = open_checkpoint(checkpoint)
    base = Blueprint(read, OPTIONS).library_key

    same = [Blueprint(read, replace(OPTIONS, max_step_tokens=32))]
    others = [
        Blueprint(read, replace(OPTIONS, **changed))
        for changed in ({"quantization": "q0bf16"}, {"threads": 1}, {"target": "x86-64-v3"})
    ]

    assert {blueprint.library_key for blueprint in same} == {base}
    assert base not in {blueprint.library_key for blueprint in others}


def test_what_the_kernels_cannot_index_is_refused(checkpoint: Path) -> None:
    """Pages have 64 bits, but a token's slot has 32; and so have most tensors' elements."""
    program = Blueprint(open_checkpoint(checkpoint), OPTIONS).program
    wide = replace(OPTIONS, max_step_tokens=1 << 25)

    assert program.with_pages(1 << 24).table["pages"].elements > 2**31
    with pytest.raises(CompileError, match="there may be 134217727 pages, found 134217728"):
        program.with_pages(1 << 27)
    with pytest.raises(CompileError, match="has .* elements, the limit is 2147483647"):
        Blueprint(open_checkpoint(checkpoint), wide).program.with_pages(1)
