"""Quantizations by the names that users know: which weights have which format."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.groups import Kind, own
from raylax.kernels.cpu.formats.base import Format
from raylax.kernels.cpu.formats.bf16 import BF16
from raylax.kernels.cpu.formats.channel import ChannelScaled
from raylax.kernels.cpu.formats.f16 import F16
from raylax.kernels.cpu.formats.f32 import F32
from raylax.kernels.cpu.formats.grouped import Grouped
from raylax.kernels.cpu.kept import Kept, kept
from raylax.kernels.cpu.target import CPU
from raylax.kernels.errors import CompileError

LAYERS = (
    "w_qkv", "w_o", "w_gate_up", "w_down", "w_experts_up", "w_experts_down", "w_dense_up",
    "w_dense_down", "w_fc",
)  # fmt: skip


@dataclass(frozen=True)
class Quantization:
    """The formats of one model."""

    name: str
    formats: Mapping[str, Format]
    """Of each matrix of the step, by its name in the table of weights; `w_head` is there whether
    or not it is one with `w_embed`, and then has the same."""
    kv_dtype: str
    """The precision of keys and values, if none is asked for."""

    @property
    def named(self) -> dict[str, str]:
        """The formats by name."""
        return {weight: fmt.name for weight, fmt in self.formats.items()}

    def of(self, function: str) -> list[Format]:
        """The formats of what one of the step's functions multiplies: `layers`, `head`, or
        `features` and `heads` of draft heads."""
        names = {"head": ("w_head",), "features": ("w_fc",), "heads": ("w_fc", "w_head")}
        return [self.formats[n] for n in names.get(function, LAYERS) if n in self.formats]


def two_formats(name: str, layers: Format, head: Format, kv_dtype: str) -> Quantization:
    """One format for the layers' matrices, one for embedding and head: 4 bits cost most there,
    and save least."""
    formats = dict.fromkeys(LAYERS, layers) | dict.fromkeys(("w_embed", "w_head"), head)
    return Quantization(name, formats, kv_dtype)


NAMES = ("q0f32", "q0bf16", "q0f16", "w8a8", "q8f32_0", "q4f32_1", "q4f32_0")
SAME = {"q8f16_0": "q8f32_0", "q4f16_0": "q4f32_0", "q4f16_1": "q4f32_1"}
"""Names of the same weights with f16 sums, which a CPU takes in f32."""
OWN = {"float32": "q0f32", "float16": "q0f16", "bfloat16": "q0bf16"}
"""What keeps the precision of a checkpoint."""


def quantization_of(name: str, checkpoint: Checkpoint, cpu: CPU) -> Quantization:
    """As `quantization_named`; and `auto` keeps the groups of a quantised checkpoint. Raises
    CompileError."""
    if name == "auto" and (plan := kept(checkpoint)):
        found = stored(plan, cpu)
    else:
        found = quantization_named(name, checkpoint.dtype, cpu)
    if not checkpoint.spec.classifies:
        return found
    return replace(found, formats={**found.formats, "w_head": F32(cpu)})  # a few rows cost nothing


def stored(plan: Mapping[str, Kept], cpu: CPU) -> Quantization:
    """What lies in a file, as it lies there."""
    formats = {one.form: format_of(one.form, cpu) for one in plan.values()}
    return Quantization("stored", {name: formats[one.form] for name, one in plan.items()}, "bf16")


def format_of(form: Kind | str, cpu: CPU) -> Format:
    """Of groups of a kind, or of plain numbers."""
    match form:
        case Kind():
            return Grouped(form, cpu)
        case "float32":
            return F32(cpu)
        case "float16":
            return F16(cpu)
    return BF16(cpu)


def quantization_named(name: str, checkpoint_dtype: str, cpu: CPU) -> Quantization:
    """`auto` keeps the checkpoint's own precision. Raises CompileError for a name that is not
    known."""
    if name == "auto":
        name = OWN.get(checkpoint_dtype, "q0bf16")
    match SAME.get(name, name):
        case "q0f32":
            f32 = F32(cpu)
            return two_formats("q0f32", f32, f32, "f32")
        case "q0bf16":
            bf16 = BF16(cpu)
            return two_formats("q0bf16", bf16, bf16, "bf16")
        case "q0f16":
            f16 = F16(cpu)
            return two_formats("q0f16", f16, f16, "bf16")
        case "w8a8":
            channels = ChannelScaled(cpu)
            return two_formats("w8a8", channels, channels, "bf16")
        case "q8f32_0":
            eight = Grouped(own(8), cpu)
            return two_formats("q8f32_0", eight, eight, "bf16")
        case "q4f32_0":
            four = Grouped(own(4), cpu)
            return two_formats("q4f32_0", four, four, "bf16")
        case "q4f32_1":
            return two_formats("q4f32_1", Grouped(own(4), cpu), Grouped(own(8), cpu), "bf16")
    known = ", ".join(("auto", *NAMES, *SAME))
    raise CompileError(f"quantization {name!r} is not known; known are {known}")
