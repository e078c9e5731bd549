"""What becomes of compiled functions: a library, if a C compiler can link it."""

from functools import partial
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.codegen import compile_function
from raylax.kernels.cpu.compile import (
    CompiledStep,
    export,
    linker,
)
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions


def test_a_compiler_that_cannot_link_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image may hold the compiler and not what it needs."""
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho 'cannot find crt1.o' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    emitter = Blueprint(open_checkpoint(checkpoint), ModelOptions("q0f32")).emitter
    emit = partial(emitter.emit, "head", emitter.variants("head")[0])
    head = CompiledStep({"head_1": compile_function(emitter.cpu, "head_1", emit)})

    with pytest.raises(CompileError, match=r"/g\+\+ cannot link a library"):
        export(head, tmp_path / "step.so", linker(emitter.cpu) or "")
