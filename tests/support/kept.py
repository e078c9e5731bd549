"""What tests compile themselves: kept in the store, as what raylax compiles is."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from raylax.kernels.cpu.codegen import compile_function
from raylax.kernels.cpu.compile import CompiledStep, export, linker, on_all_cores
from raylax.kernels.cpu.emitted_from import emitter_hash
from raylax.kernels.cpu.target import CPU, missing_here
from raylax.kernels.runtime import load_library
from raylax.kernels.store import Store, key_of, source_hash

Functions = Mapping[str, Callable[[], Any]]
"""What emits each, by name."""


def kept(
    store: Path,
    facts: dict[str, Any],
    make: Callable[[Path], None],
    kernels: Callable[[], str] = source_hash,
) -> Path:
    """The directory that `make` has filled, in this run or in an earlier one with the same TVM and
    kernels, of which `kernels` has a digest. `facts` are what else it depends on. Nobody may change
    what is in it."""
    key = key_of({**facts, "kernels": kernels(), "tvm": version("apache-tvm")})
    return Store(store).get("library", key, make)[0]


def compiled(target: CPU, functions: Functions) -> CompiledStep:
    """Of this run, whatever the store has."""
    made = on_all_cores(partial(compile_function, target), functions, functions.values())
    return CompiledStep(dict(zip(functions, made, strict=True)))


def kept_functions(
    store: Path,
    facts: dict[str, Any],
    target: CPU,
    functions: Functions,
    load: Callable[[Any], Any] = lambda compiled: compiled,
) -> Any:
    """A library of functions for a CPU; kept where this machine runs them, and else what `load`
    makes of them. `facts`: what they are emitted from, other than kernels."""
    if missing_here(target):
        return load(compiled(target, functions))
    if (cc := linker(target)) is None:
        return compiled(target, functions)

    def make(directory: Path) -> None:
        export(compiled(target, functions), directory / "functions.so", cc)

    facts = {**facts, "functions": sorted(functions), "target": asdict(target)}
    return load_library(kept(store, facts, make, emitter_hash) / "functions.so")
