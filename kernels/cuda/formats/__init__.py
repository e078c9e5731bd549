"""How weights lie on a GPU, by the names that users know. Start with `base.py`.

Packing is the host's, in numpy: it needs no GPU, and what it makes is what a file holds.
"""

from dataclasses import dataclass

from raylax.kernels.cuda.formats.base import Format, Precision
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.errors import CompileError, only_on_cpu

NAMES = ("q0f16", "q0bf16", "q8", "fp8", "q4f16_1", "q4f16_1_g128", "mxfp4")
SAME = {"q8f16_0": "q8", "q8f32_0": "q8", "q4f32_1": "q4f16_1"}
"""Names of the same weights elsewhere: sums are f32 in all of them."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """The formats of one model."""

    name: str
    precision: Precision
    """Of activations, embedding and norms."""
    layers: Format
    head: Format
    """4 bits cost most in the output head, and save least: there it has 8."""
    of_experts: Format | None = None
    """None: that of layers."""

    @property
    def experts(self) -> Format:
        """Of the matrices of experts."""
        return self.of_experts or self.layers

    @property
    def packed_formats(self) -> tuple[str, ...]:
        """The names of its packed formats, but for experts alone, without their precision."""
        ending = f"_{self.precision}"
        names = {self.layers.name, self.head.name}
        return tuple(sorted(n.removesuffix(ending) for n in names if n.endswith(ending)))


def quantization_named(name: str, checkpoint_dtype: str) -> Quantization:
    """`auto` keeps the checkpoint's own precision; f32 becomes bf16. Raises CompileError for a name
    that is not known."""
    precision: Precision = "f16" if checkpoint_dtype == "float16" else "bf16"
    if name == "auto":
        name = f"q0{precision}"
    eight = Grouped(precision, 8, 32)
    match SAME.get(name, name):
        case "q0f16":
            return Quantization("q0f16", "f16", Dense("f16"), Dense("f16"))
        case "q0bf16":
            return Quantization("q0bf16", "bf16", Dense("bf16"), Dense("bf16"))
        case "q8":
            return Quantization("q8", precision, eight, eight)
        case "fp8":
            floats = Grouped(precision, 8, 128, floats=True)
            return Quantization("fp8", precision, floats, floats)
        case "q4f16_1":
            return Quantization("q4f16_1", precision, Grouped(precision, 4, 32), eight)
        case "q4f16_1_g128":
            return Quantization("q4f16_1_g128", precision, Grouped(precision, 4, 128), eight)
        case "mxfp4":
            plain, four = Dense(precision), Grouped(precision, 4, 32, floats=True)
            return Quantization("mxfp4", precision, plain, plain, four)
    known = ", ".join(("auto", *NAMES, *SAME))
    raise CompileError(
        only_on_cpu(f"quantization {name!r} is not there on CUDA; there are {known}")
    )
