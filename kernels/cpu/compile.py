"""TIR to machine code: a library in the store, or functions in memory without a C compiler."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tvm.support.cc import create_shared, get_cc

from raylax.kernels.cpu.codegen import compile_function
from raylax.kernels.cpu.step.step import StepEmitter
from raylax.kernels.cpu.target import CPU, this_cpu
from raylax.kernels.errors import CompileError
from raylax.kernels.store import check_room


def linker(cpu: CPU) -> str | None:
    """The C compiler that links libraries for a CPU: keeping one needs it, running one does not."""
    if cpu.architecture == this_cpu().architecture:
        found: str | None = get_cc()
        return found
    if (found := shutil.which(name := f"{cpu.architecture}-linux-gnu-gcc")) is None:
        raise CompileError(f"target {cpu.name} needs {name} to link, which is not on the PATH")
    return found


@dataclass(frozen=True)
class CompiledStep:
    """Functions by name, each a TVM executable of its own."""

    executables: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.executables[name][name]

    @property
    def assembly(self) -> str:
        """The machine code of all functions, as the target's assembler writes it."""
        source = lambda one: str(one.mod.inspect_source("asm"))  # noqa: E731
        return "\n".join(on_all_cores(source, self.executables.values()))


def compile_step(emitter: StepEmitter) -> CompiledStep:
    """Every function of the step in every variant; none needs another one."""
    jobs = {
        f"{name}_{variant.suffix}": partial(emitter.emit, name, variant)
        for name in reversed(emitter.functions)
        for variant in reversed(emitter.variants(name))
    }
    compiled = on_all_cores(partial(compile_function, emitter.cpu), jobs, jobs.values())
    return CompiledStep(dict(zip(jobs, compiled, strict=True)))


def export(compiled: CompiledStep, path: Path, cc: str) -> None:
    """Link a shared library; CompileError when the compiler that is here cannot, OSError when the
    disk has no room. Everything lies on the library's disk meanwhile."""
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        objects = {f"{directory}/{name}.o": one for name, one in compiled.executables.items()}
        on_all_cores(lambda file, one: one.mod.write_to_file(file), objects, objects.values())
        try:
            create_shared(str(path), list(objects), cc=cc)
        except (RuntimeError, OSError) as error:
            path.unlink(missing_ok=True)
            check_room(path.parent, sum(os.path.getsize(file) for file in objects))
            said = str(error).strip().splitlines()
            raise CompileError(
                f"{cc} cannot link a library: {said[-1] if said else error}; mend it, name "
                "another by CXX, or take it off the PATH to compile in memory"
            ) from error


def on_all_cores(work: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
    """`map` on threads: the compiler runs without Python's lock."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(work, *arguments))
