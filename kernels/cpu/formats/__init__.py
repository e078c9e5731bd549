"""Quantizations by the names that users know: which weights have which format."""

from dataclasses import dataclass

from raylax.kernels.cpu.formats.base import Format
from raylax.kernels.cpu.formats.bf16 import BF16
from raylax.kernels.cpu.formats.channel import ChannelScaled
from raylax.kernels.cpu.formats.f32 import F32
from raylax.kernels.cpu.formats.grouped import Grouped
from raylax.kernels.cpu.target import CPU
from raylax.kernels.errors import CompileError


@dataclass(frozen=True)
class Quantization:
    """The formats of one model."""

    name: str
    layers: Format
    head: Format
    """The format of embedding and output head: 4 bits cost most there, and save least."""
    kv_dtype: str
    """The precision of keys and values, if none is asked for."""


NAMES = ("q0f32", "q0bf16", "w8a8", "q8f32_0", "q4f32_1", "q4f32_0")
SAME = {"q8f16_0": "q8f32_0", "q4f16_0": "q4f32_0", "q4f16_1": "q4f32_1"}
"""Names of the same weights with f16 sums, which a CPU takes in f32."""


def quantization_named(name: str, checkpoint_dtype: str, cpu: CPU) -> Quantization:
    """`auto` keeps the checkpoint's own precision: f32 stays f32, 16 bits become bf16. Raises
    CompileError for a name that is not known."""
    if name == "auto":
        name = "q0f32" if checkpoint_dtype == "float32" else "q0bf16"
    match SAME.get(name, name):
        case "q0f32":
            floats = F32(cpu)
            return Quantization("q0f32", floats, floats, "f32")
        case "q0bf16":
            halves = BF16(cpu)
            return Quantization("q0bf16", halves, halves, "bf16")
        case "w8a8":
            channels = ChannelScaled(cpu)
            return Quantization("w8a8", channels, channels, "bf16")
        case "q8f32_0":
            eight = Grouped(8, cpu)
            return Quantization("q8f32_0", eight, eight, "bf16")
        case "q4f32_0":
            four = Grouped(4, cpu)
            return Quantization("q4f32_0", four, four, "bf16")
        case "q4f32_1":
            return Quantization("q4f32_1", Grouped(4, cpu), Grouped(8, cpu), "bf16")
    known = ", ".join(("auto", *NAMES, *SAME))
    raise CompileError(f"quantization {name!r} is not known; known are {known}")
