"""TIR to machine code: a library in the store, or functions in memory without a C compiler."""

import shutil
from pathlib import Path
from typing import Any

import tvm
from tvm.support.cc import get_cc

from raylax.kernels.cpu.step import StepEmitter
from raylax.kernels.cpu.target import CPU, this_cpu
from raylax.kernels.errors import CompileError

PARTS = ("layers", "head")


def linker(cpu: CPU) -> str | None:
    """The C compiler that links libraries for a CPU: keeping one needs it, running one does not."""
    if cpu.architecture == this_cpu().architecture:
        found: str | None = get_cc()
        return found
    if (found := shutil.which(name := f"{cpu.architecture}-linux-gnu-gcc")) is None:
        raise CompileError(f"target {cpu.name} needs {name} to link, which is not on the PATH")
    return found


def compile_step(emitter: StepEmitter) -> Any:
    """A TVM executable that holds every part in every variant."""
    functions = {}
    for part in PARTS:
        for variant in emitter.variants(part):
            name = f"{part}_{variant.suffix}"
            functions[name] = emitter.emit(part, variant).with_attr("global_symbol", name)
    # The work queue's guarded vector registers fail in StorageRewrite; nothing is lost without it.
    # CompactBufferAllocation finds nothing to do here, and takes most of the time.
    options, useless = {"tirx.disable_storage_rewrite": True}, ["s_tir.CompactBufferAllocation"]
    try:
        with tvm.transform.PassContext(config=options, disabled_pass=useless):
            return tvm.compile(tvm.IRModule(functions), target=emitter.cpu.tvm)
    except tvm.error.TVMError as error:
        raise CompileError(f"target {emitter.cpu.name}: {error}") from error


def export(executable: Any, path: Path, cc: str) -> None:
    """Link a shared library; CompileError when the compiler that is here cannot."""
    try:
        executable.export_library(str(path), cc=cc)
    except (RuntimeError, OSError) as error:
        said = str(error).strip().splitlines()
        raise CompileError(
            f"{cc} cannot link a library: {said[-1] if said else error}; mend it, name "
            "another by CXX, or take it off the PATH to compile in memory"
        ) from error
