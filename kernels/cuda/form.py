"""What a model is on a GPU: its formats there, its pages and its machine code. All of it follows
from the model, the chip, and what was asked for; no GPU is needed to know it."""

from dataclasses import dataclass, replace
from typing import Self

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.overlap import LEAST
from raylax.kernels.cuda.formats import Quantization, quantization_named
from raylax.kernels.cuda.formats.shards import check_cuts
from raylax.kernels.cuda.pages import KV, PageLayout
from raylax.kernels.cuda.sizes import device_sizes
from raylax.kernels.cuda.variants.attention import AttentionShape, tiles_of
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.table import all_for
from raylax.kernels.errors import CompileError, only_on_cpu
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from raylax.kernels.spec import DecoderSpec

BYTES: tuple[KV, ...] = ("int8", "fp8")
"""Keys and values that are not of the model's precision."""


@dataclass(frozen=True, slots=True)
class DeviceForm:
    """A model's, on chips of one generation."""

    spec: DecoderSpec
    """The sizes that are computed, see `raylax.kernels.padding`."""
    chip: Chip
    quantization: Quantization
    kv: KV
    degree: Degree = Degree()
    overlapped: bool = False
    """Whether its kernels may be started before the one ahead of them has ended."""
    taps: tuple[int, ...] = ()
    """Residual streams that a step keeps."""

    @classmethod
    def of(cls, spec: DecoderSpec, dtype: str, options: ModelOptions, chip: Chip) -> Self:
        """As the options say. `dtype`: the checkpoint's. Raises CompileError, with the CPU as
        remedy, for what there is not on a GPU."""
        if (stages := options.degree.pipeline) > 1:
            raise CompileError(
                only_on_cpu(
                    "pipeline_parallel_stages must be 1 on CUDA, where tensor_parallel_shards "
                    f"share a model, found {stages}"
                )
            )
        options.check_taps(spec)
        if spec.fusion and (missing := spec.unlike_llama):  # a draft head is of Llama's kind
            raise CompileError(
                only_on_cpu(f"{spec.architecture}: {', '.join(missing)} is not there on CUDA")
            )
        quantization = quantization_named(options.quantization, dtype)
        if quantization.of_experts and spec.experts is None:
            raise CompileError(
                f"quantization {quantization.name} is one of experts, and {spec.architecture} has "
                "none; take another one"
            )
        sizes = device_sizes(spec, quantization)
        check_cuts(quantization.layers, sizes, options.degree)
        kv = kv_named(options.kv_dtype, quantization)
        if options.overlap_launches and chip.number < LEAST:
            raise CompileError(
                f"overlap_launches needs sm_{LEAST} or later, found {chip.name}; leave it out"
            )
        overlap, taps = options.overlap_launches, options.taps
        form = cls(sizes, chip, quantization, kv, options.degree, overlap, taps)
        form.variants()  # which refuse what no kernel is made for
        return form

    @property
    def own(self) -> DecoderSpec:
        """The sizes that each rank computes."""
        return self.degree.local(self.spec)

    @property
    def ranks(self) -> int:
        """Among how many it is shared."""
        return self.degree.tensor

    @property
    def heads(self) -> AttentionShape:
        """What attention is compiled for."""
        return AttentionShape.of(self.own, self.quantization.precision, self.kv)

    @property
    def tiles(self) -> list[list[Variant]]:
        """Those of attention, and behind them those of local layers that see a window."""
        given = self.own, self.quantization.precision, self.kv
        return tiles_of(AttentionShape.each_of(*given), self.chip.number)

    @property
    def layout(self) -> PageLayout:
        """How its keys and values lie."""
        return PageLayout(self.own.layers, self.own.kv_heads, self.own.head_dim, self.kv)

    @property
    def kv_dtype(self) -> str:
        """What users call the type of its keys and values."""
        return self.quantization.precision if self.kv == "plain" else self.kv

    def variants(self) -> list[Variant]:
        """All machine code that it needs. Raises CompileError for what no kernel is made for."""
        q = self.quantization
        given = self.spec, self.chip.number, q.precision, q.packed_formats, self.kv
        made = all_for(*given, self.ranks, q.experts.name)
        return [replace(one, overlapped=True) for one in made] if self.overlapped else made


def kv_named(name: str, quantization: Quantization) -> KV:
    """`auto` is the model's own precision. Raises CompileError for one that is not there."""
    for one in BYTES:
        if name == one:
            return one
    if name in ("auto", own := quantization.precision):
        return "plain"
    rule = f"kv_dtype on CUDA must be auto, {own}, {' or '.join(BYTES)} with {quantization.name}"
    raise CompileError(only_on_cpu(f"{rule}; found {name!r}"))
