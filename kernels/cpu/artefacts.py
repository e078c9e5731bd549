"""From a checkpoint and options to artefacts: program, compiled step and packed weights.

TVM is imported when a blueprint is drawn, not with this module.
"""

import platform
from dataclasses import asdict, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.emitted_from import emitter_hash
from raylax.kernels.cpu.library import MadeFor, given_library
from raylax.kernels.cpu.program import STORED, Program
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.errors import CompileError
from raylax.kernels.options import IN_MEMORY, LIBRARY, ModelOptions, ProgressCallback, use_threads
from raylax.kernels.store import JitPolicy, Store, check_room, jit_policy, key_of, source_hash

PROGRAM = "program.json"
LIBRARY_BYTES = 8 << 20
"""More than the libraries of all families have, with the objects that they are linked of."""


class Blueprint:
    """What building one model comes to: what emits it, and the program that runs it."""

    def __init__(self, checkpoint: Checkpoint, options: ModelOptions) -> None:
        from raylax.kernels.cpu.formats import quantization_of
        from raylax.kernels.cpu.step.buffers import Capacity
        from raylax.kernels.cpu.step.pages import KV_DTYPES, pages_named
        from raylax.kernels.cpu.step.step import StepEmitter
        from raylax.kernels.cpu.target import cpu

        spec = options.seen(checkpoint.spec)
        options.degree.check(spec)
        options.check_taps(spec)
        self.checkpoint, target = checkpoint, cpu(options.target)
        self.quantization = quantization_of(options.quantization, checkpoint, target)
        kv = self.quantization.kv_dtype if options.kv_dtype == "auto" else options.kv_dtype
        if kv not in KV_DTYPES:
            raise CompileError(f"kv_dtype must be auto, {', '.join(KV_DTYPES)}; found {kv!r}")
        capacity = Capacity(
            options.max_step_tokens,
            options.max_step_rows,
            options.max_sequence_length,
            options.threads,
            len(options.taps),
        )
        pages = pages_named(kv, target)
        sizes = cpu_sizes(spec)
        self.emitter = StepEmitter(
            sizes, options.degree, self.quantization, pages, capacity, target
        )

    @cached_property
    def program(self) -> Program:
        """What there is to know of the compiled step to run it; `pages` has one page."""
        from raylax.kernels.cpu.target import lacking_here

        e = self.emitter
        return Program(
            e.quantization.name,
            e.pages.name,
            e.capacity.sequence_length,
            e.table,
            {name: e.function(name) for name in e.functions},
            self.library_key,
            self.made_for,
            self.weights_key,
            lacking_here(e.cpu),
        )

    @property
    def library_key(self) -> str:
        """The name, in the store, of the compiled functions: of all that they are emitted from."""
        essence = self.emitter.essence
        return key_of(
            {
                "spec": asdict(essence.spec),
                "degree": asdict(essence.degree),
                "formats": essence.quantization.named,
                "kv": essence.pages.name,
                "capacity": asdict(essence.capacity),
                "target": asdict(essence.cpu),
                "tvm": version("apache-tvm"),
                "kernels": emitter_hash(),
            }
        )

    @property
    def weights_key(self) -> str:
        """The name, in the store, of the packed weights: of files, formats, and how they lie, which
        a config can say anew of the same files."""
        table = self.emitter.table
        return key_of(
            {
                "checkpoint": self.checkpoint.identity,
                "shapes": {n: one.shape for n, one in table.items() if one.kind in STORED},
                "quantization": self.quantization.name,
                "formats": self.quantization.named,
                "kernels": source_hash(),
            }
        )

    @property
    def made_for(self) -> str:
        """What the compiled functions are for, for people."""
        e, s = self.emitter, self.emitter.spec
        shards = f", {e.degree.tensor} shards" if e.degree.tensor > 1 else ""
        return (
            f"layers of {s.hidden} with {s.heads} heads ({s.kv_heads} of keys), {s.intermediate} "
            f"units and {s.vocab} tokens, {e.quantization.name}, kv {e.pages.name}{shards}, on "
            f"{e.cpu.name}, by TVM {version('apache-tvm')} and kernels {emitter_hash()[:8]}"
        )

    def library(self, store: Store, progress: ProgressCallback, again: bool = False) -> Path | None:
        """The compiled functions, linked by a C compiler; None where there is none. `again`: also
        where the store has them."""
        from raylax.kernels.cpu import compile

        if (cc := compile.linker(self.emitter.cpu)) is None:
            return None

        def make(directory: Path) -> None:
            progress("compile", 0.0)
            compiled = compile.compile_step(self.emitter)
            check_room(directory, LIBRARY_BYTES)  # LLVM would end the process
            compile.export(compiled, directory / LIBRARY, cc)
            MadeFor(self.library_key, self.made_for).write(directory)

        directory, _ = store.get("library", self.library_key, make, again)
        progress("compile", 1.0)
        return directory / LIBRARY

    def compile(self) -> Any:
        """The compiled functions by name, in memory."""
        from raylax.kernels.cpu.compile import compile_step

        return compile_step(self.emitter)

    def pack(self, directory: Path, progress: ProgressCallback) -> None:
        """Writes the packed weights."""
        from raylax.kernels.cpu.weights import pack

        ck, table, told = self.checkpoint, self.program.table, partial(progress, "pack")
        pack(ck, self.quantization, table, directory, told, self.emitter.capacity.workers)


class Artefacts:
    """What a model is run from, found in the store or made there. TVM is imported when something
    has to be made. Raises CheckpointError and CompileError."""

    def __init__(
        self,
        checkpoint: Path | Checkpoint,
        options: ModelOptions,
        store: Path | None,
        progress: ProgressCallback,
    ) -> None:
        use_threads(options.threads)
        read = open_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
        self.checkpoint, self.options = read, options
        self.spec = options.seen(read.spec)
        """What is computed."""
        self._store, self._progress = Store(store), progress

    @cached_property
    def blueprint(self) -> Blueprint:
        """Drawn when something has to be made."""
        return Blueprint(self.checkpoint, self.options)

    @cached_property
    def program(self) -> Program:
        """Of one page; it is kept, so that no compiler is needed to know what was compiled."""
        facts = {
            "spec": asdict(self.spec),
            "dtype": self.checkpoint.dtype,
            "checkpoint": self.checkpoint.identity,
            "options": asdict(replace(self.options, library=None)),
            "machine": machine(),
            "tvm": version("apache-tvm"),
            "kernels": source_hash(),
        }
        write = lambda directory: self.blueprint.program.write(directory / PROGRAM)  # noqa: E731
        directory, _ = self._store.get("program", key_of(facts), write)
        return Program.read(directory / PROGRAM)

    def check_room(self) -> None:
        """Raises OSError if the store's disk cannot take what has yet to be made."""
        sizes = {"weights": self.program.bytes_of("weight", "layer"), "library": LIBRARY_BYTES}
        keys = {"weights": self.program.weights_key, "library": self.program.library_key}
        missing = [kind for kind, key in keys.items() if self._store.find(kind, key) is None]
        self._store.check_room(sum(sizes[kind] for kind in missing))

    def library(self) -> Path | None:
        """The file of the compiled functions; None: no C compiler is here to keep it."""
        if (given := self.options.library) is not None:
            wanted = MadeFor(self.program.library_key, self.program.made_for)
            return given_library(Path(given), wanted)
        policy, what = jit_policy(), "the compiled step of this model"
        policy.check_given(what)
        again = policy is JitPolicy.REDO
        if not again and (found := self._store.find("library", self.program.library_key)):
            return found / LIBRARY
        policy.check_found(what)
        return self.blueprint.library(self._store, self._progress, again)

    def functions(self) -> tuple[Any, str]:
        """The compiled functions, ready to run, and where they came from."""
        from raylax.kernels.runtime import load_library

        if self.program.lacking:
            raise CompileError(self.program.lacking)
        if path := self.library():
            return load_library(path), str(path)
        self._progress("compile in memory", 0.0)
        return self.blueprint.compile(), IN_MEMORY

    def weights(self) -> Path:
        """The directory of the packed weights."""
        make = lambda directory: self.blueprint.pack(directory, self._progress)  # noqa: E731
        return self._store.get("weights", self.program.weights_key, make)[0]


def machine() -> str:
    """This machine, as far as the choice of instructions depends on it."""
    keys = ("vendor_id", "model name", "flags", "Features", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    shown = {line for line in lines if line.startswith(keys)}
    return "\n".join([platform.machine(), platform.processor(), *sorted(shown)])
