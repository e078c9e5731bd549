"""The compiled sampler: found in the store, or made there. There is one for a kind of CPU, whatever
the model and the number of threads. TVM's compiler is imported when something has to be made."""

from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from raylax.kernels.cpu.artefacts import LIBRARY_BYTES, machine
from raylax.kernels.cpu.emitted_from import emitter_hash
from raylax.kernels.cpu.sampler.arguments import NAME
from raylax.kernels.cpu.sampler.sampler import Sampler
from raylax.kernels.options import LIBRARY
from raylax.kernels.runtime import load_library
from raylax.kernels.store import JitPolicy, Store, check_room, jit_policy, key_of

KIND = "sampler"


def load_sampler(threads: int, target: str | None = None, store: Path | None = None) -> Sampler:
    """One that draws with so many threads, and has memory of its own. Raises CompileError."""
    return Sampler(functions(target, store), threads)


@cache
def functions(target: str | None, store: Path | None) -> Any:
    """The function by its name. It keeps nothing, so there is one in a process."""
    library = sampler_library(target, Store(store))
    return load_library(library) if library else compiled(target)


def sampler_library(target: str | None, store: Store) -> Path | None:
    """The file of the compiled function; None: no C compiler is here to keep it. Raises
    CompileError, also where MLC_JIT_POLICY has nothing compiled."""
    key = key_of(
        {
            "target": target,
            "machine": machine(),
            "tvm": version("apache-tvm"),
            "kernels": emitter_hash(),
        }
    )
    policy = jit_policy()
    again = policy is JitPolicy.REDO
    if not again and (found := store.find(KIND, key)):
        return found / LIBRARY
    policy.check_found("the compiled sampler, which all models share,")
    from raylax.kernels.cpu.compile import export, linker
    from raylax.kernels.cpu.target import cpu

    if (cc := linker(cpu(target))) is None:
        return None

    def make(directory: Path) -> None:
        made = compiled(target)
        check_room(directory, LIBRARY_BYTES)  # LLVM would end the process
        export(made, directory / LIBRARY, cc)

    return store.get(KIND, key, make, again)[0] / LIBRARY


def compiled(target: str | None) -> Any:
    """The function by its name, in memory."""
    from raylax.kernels.cpu.codegen import compile_function
    from raylax.kernels.cpu.compile import CompiledStep
    from raylax.kernels.cpu.sampler.emit import emit
    from raylax.kernels.cpu.target import cpu

    made = cpu(target)
    return CompiledStep({NAME: compile_function(made, NAME, partial(emit, made))})
