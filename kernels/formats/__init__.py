"""The weight formats, by the names that users know."""

from raylax.kernels.cpu.target import CPU
from raylax.kernels.errors import CompileError
from raylax.kernels.formats.base import Format
from raylax.kernels.formats.bf16 import BF16
from raylax.kernels.formats.f32 import F32

FORMATS = ("q0f32", "q0bf16")


def format_named(name: str, checkpoint_dtype: str, cpu: CPU) -> Format:
    """`auto` keeps the checkpoint's own precision: f32 stays f32, 16 bits become bf16."""
    if name == "auto":
        name = "q0f32" if checkpoint_dtype == "float32" else "q0bf16"
    if name == "q0f32":
        return F32(cpu.registers)
    if name == "q0bf16":
        return BF16(cpu.native_bf16, cpu.registers)
    known = ", ".join(("auto", *FORMATS))
    raise CompileError(f"quantization {name!r} is not known; known are {known}")
