"""From a checkpoint and options to artefacts: the compiled step and the packed weights.

TVM is imported when a blueprint is drawn, not with this module.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoint import Checkpoint
from raylax.kernels.errors import CompileError
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store, key_of, source_hash

if TYPE_CHECKING:
    from raylax.kernels.cpu.step import Buffer

PAGE_SIZE = 16
Progress = Callable[[str, float], None]
MOST_ELEMENTS = 2**31 - 1  # the kernels index each tensor by int32


def silent(stage: str, fraction: float) -> None:
    """No progress shown."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is built, and the most that one step of it can hold."""

    quantization: str = "auto"
    """q0f32, q0bf16, q8f32_0 or q4f32_1; auto keeps the checkpoint's precision."""
    kv_dtype: str = "auto"
    """f32, bf16 or int8; auto is what suits the weights."""
    device: str = "cpu"
    target: str | None = None
    """LLVM's -mcpu, for instance x86-64-v3 or neoverse-n1; None: this CPU."""
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    max_step_tokens: int = 512
    max_step_rows: int = 64
    max_sequence_length: int = 4096


def use_threads(threads: int) -> None:
    """Settings that TVM reads once, when it is loaded. Idle workers soon stop spinning."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    os.environ["TVM_BIND_THREADS"] = "0"
    os.environ["TVM_THREAD_POOL_SPIN_COUNT"] = "2000"


class Blueprint:
    """What building one model comes to: emitter, argument table and the keys of its artefacts."""

    def __init__(self, checkpoint: Path, options: ModelOptions, pages: int) -> None:
        use_threads(options.threads)
        from raylax.kernels.cpu.pages import KV_DTYPES, pages_named
        from raylax.kernels.cpu.step import Capacity, StepEmitter, buffers
        from raylax.kernels.cpu.target import cpu
        from raylax.kernels.formats import quantization_named

        self.checkpoint, self.options = Checkpoint(checkpoint), options
        spec, target = self.checkpoint.spec, cpu(options.target)
        wanted, dtype = options.quantization, self.checkpoint.dtype
        self.quantization = quantization_named(wanted, dtype, target)
        kv = self.quantization.kv_dtype if options.kv_dtype == "auto" else options.kv_dtype
        if kv not in KV_DTYPES:
            raise CompileError(f"kv_dtype must be auto, {', '.join(KV_DTYPES)}; found {kv!r}")
        self.capacity = Capacity(
            options.max_step_tokens,
            options.max_step_rows,
            options.max_sequence_length,
            pages,
            options.threads,
        )
        self.pages = pages_named(kv, target)
        self.emitter = StepEmitter(spec, self.quantization, self.pages, self.capacity, target)
        self.table: dict[str, Buffer] = buffers(spec, self.quantization, self.pages, self.capacity)
        for name, buffer in self.table.items():
            if (count := int(np.prod(buffer.shape))) > MOST_ELEMENTS:
                raise CompileError(f"{name} has {count} elements, the limit is {MOST_ELEMENTS}")

    def bytes_of(self, *kinds: str) -> int:
        return sum(
            int(np.prod(buffer.shape)) * np.dtype(buffer.dtype).itemsize
            for buffer in self.table.values()
            if buffer.kind in kinds
        )

    @property
    def library_key(self) -> str:
        return key_of(
            {
                "spec": asdict(self.emitter.spec),
                "quantization": self.quantization.name,
                "kv": self.pages.name,
                "workers": self.capacity.workers,
                "target": asdict(self.emitter.cpu),
                "tvm": version("apache-tvm"),
                "kernels": source_hash(),
            }
        )

    @property
    def weights_key(self) -> str:
        return key_of(
            {
                "checkpoint": self.checkpoint.identity,
                "quantization": self.quantization.name,
                "kernels": source_hash(),
            }
        )

    def library_file(self, store: Store, progress: Progress, cc: str) -> Path:
        """The compiled functions, linked by a C compiler."""
        from raylax.kernels import compile

        def make(directory: Path) -> None:
            progress("compile", 0.0)
            compile.export(compile.compile_step(self.emitter), directory / "step.so", cc)

        directory, _ = store.get("library", self.library_key, make)
        progress("compile", 1.0)
        return directory / "step.so"

    def library(self, store: Store, progress: Progress) -> tuple[Any, str]:
        """The compiled functions, ready to run, and where they came from."""
        from raylax.kernels import compile
        from raylax.kernels.cpu.target import check_runs_here

        check_runs_here(self.emitter.cpu)
        if (cc := compile.linker(self.emitter.cpu)) is None:
            progress("compile in memory", 0.0)
            return compile.compile_step(self.emitter), "in memory"
        path = self.library_file(store, progress, cc)
        return compile.load(path), str(path)

    def weights(self, store: Store, progress: Progress) -> dict[str, npt.NDArray[Any]]:
        from raylax.kernels.weights import map_weights, pack

        make = partial(pack, self.checkpoint, self.quantization, self.table)
        directory, _ = store.get(
            "weights", self.weights_key, lambda d: make(d, partial(progress, "pack"))
        )
        return map_weights(directory, self.table)


@dataclass(frozen=True)
class Footprint:
    """Bytes that a model needs, for sizing its KV cache."""

    spec: DecoderSpec
    weights: int
    workspace: int
    page: int
    """Of one page over all layers."""
    most_pages: int
    """What the kernels can address."""


def footprint(checkpoint: Path, options: ModelOptions) -> Footprint:
    """What the model will need, without building it."""
    blueprint = Blueprint(checkpoint, options, pages=1)
    page = int(np.prod(blueprint.table["pages"].shape))
    return Footprint(
        blueprint.checkpoint.spec,
        blueprint.bytes_of("weight", "layer"),
        blueprint.bytes_of("work", "input", "table"),
        blueprint.bytes_of("state"),
        MOST_ELEMENTS // page,
    )


def build(
    checkpoint: Path,
    options: ModelOptions,
    pages: int,
    store: Path | None = None,
    progress: Progress = silent,
) -> str:
    """Compile and pack into the store, without running; returns where the library will be."""
    from raylax.kernels.compile import linker

    blueprint, artefacts = Blueprint(checkpoint, options, pages), Store(store)
    place = "in memory"
    if cc := linker(blueprint.emitter.cpu):
        place = str(blueprint.library_file(artefacts, progress, cc))
    else:
        progress("no C compiler is here: the model compiles in memory at every start", 1.0)
    blueprint.weights(artefacts, progress)
    return place
