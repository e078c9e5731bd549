"""How a model is built and run: what both backends are told, and who hears how far they are."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from raylax.kernels.errors import CompileError
from raylax.kernels.shards import Degree
from raylax.kernels.spec import DecoderSpec

PAGE_SIZE = 16
"""Tokens in a page of keys and values."""
LIBRARY = "step.so"
"""The file of compiled functions, in the store."""
IN_MEMORY = "in memory"
"""In the place of its path, where there is no such file."""
ProgressCallback = Callable[[str, float], None]
"""Is told the stage of building or loading, and the fraction of it that is done."""


def silent(stage: str, fraction: float) -> None:
    """The ProgressCallback of whoever does not want to know."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is built, and the most that one step of it can hold."""

    quantization: str = "auto"
    """As the formats of the device are called; auto keeps the checkpoint's precision,
    or on a CPU its groups."""
    kv_dtype: str = "auto"
    """On a CPU f32, bf16, int8; on a GPU bf16, f16, int8, fp8; auto is what suits the weights."""
    device: str = "cpu"
    """cpu, or cuda:0, cuda:1 and so on."""
    target: str | None = None
    """LLVM's -mcpu, for instance x86-64-v3 or neoverse-n1, or a GPU's sm_90; None: what is here."""
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    max_step_tokens: int = 512
    max_step_rows: int = 64
    max_sequence_length: int = 4096
    degree: Degree = Degree()
    overlap_launches: bool = False
    """On CUDA, whether a kernel may be started before the one ahead of it has ended."""
    graphs: bool = True
    """On CUDA, whether short steps are captured as graphs, and replayed."""
    taps: tuple[int, ...] = ()
    """Residual streams that a step keeps of all of its tokens, each by the number of the layer
    whose input it is; the number of layers is what the last one comes to. Without stages."""
    window: int = 0
    """Keys that a token sees, its own and the first `sinks` among them; 0: as the model says."""
    sinks: int = 0
    """Of keys that turn out of sight with a window: those of the first tokens never do. They keep
    the positions that they were computed at."""
    library: str | None = None
    """On CUDA, a directory of machine code that was compiled elsewhere, on a CPU a compiled step or
    the directory that it lies in; None: the store's."""

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one of CUDA's."""
        return self.device.startswith("cuda")

    def check_taps(self, spec: DecoderSpec) -> None:
        """Raises CompileError for residual streams that there are not."""
        if self.taps and self.degree.pipeline > 1:
            raise CompileError(
                "residual streams (taps) are kept by models without stages alone, found "
                f"pipeline_parallel_stages {self.degree.pipeline}"
            )
        for at, layer in enumerate(self.taps):
            if not 0 <= layer <= spec.layers or layer in self.taps[:at]:
                raise CompileError(
                    f"taps must be different numbers from 0 to the {spec.layers} layers of the "
                    f"model, found {', '.join(map(str, self.taps))}"
                )

    def seen(self, spec: DecoderSpec) -> DecoderSpec:
        """A checkpoint's model as it is computed: with the window of these options in the place of
        its own, in all layers. Raises CompileError where some have one of their own."""
        if not self.window:
            return spec
        if spec.local is not None and spec.local.window:
            raise CompileError(
                f"sliding_window_size must not be set for {spec.architecture}, some of whose "
                f"layers see a window of {spec.local.window}; found {self.window}"
            )
        local = spec.local and replace(spec.local, window=self.window - self.sinks)
        return replace(spec, window=self.window, sinks=self.sinks, local=local)


def use_threads(threads: int) -> None:
    """Settings that TVM reads once, when it is loaded. Idle workers soon stop spinning."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    os.environ["TVM_BIND_THREADS"] = "0"
    os.environ["TVM_THREAD_POOL_SPIN_COUNT"] = "2000"
