"""One kernel's machine code, by all that it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "raylax.kernels.cuda.source"
SHORT = {
    "f": "*fp32",
    "d": "*fp64",
    "h": "*fp16",
    "b": "*bf16",
    "c": "*i8",
    "j": "*i32",
    "l": "*i64",
    "i": "i32",
    "s": "fp32",
}
"""Letters of a signature: pointers to floats, doubles, halves, bf16, chars, ints and longs; whole
numbers and single floats."""
PRECISIONS = {"f16": "*fp16", "bf16": "*bf16"}


@dataclass(frozen=True, slots=True)
class Variant:
    """What is compiled. Its name says everything that the machine code depends on, sizes of a model
    only where they are known at compile time (attention's heads, a row's width)."""

    name: str
    kernel: str
    """Module and function of the source: `matmul:linear`."""
    types: Mapping[str, str]
    """Of the arguments of a launch, in order, as Triton writes them: `*bf16`, `i32`."""
    constants: Mapping[str, int | bool]
    """Of the arguments that are known at compile time."""
    warps: int = 4
    stages: int = 3
    aligned: tuple[str, ...] = ()
    """Whole numbers that are always multiples of 16. Pointers always are."""
    most: int | None = None
    """The most tokens (queries, rows) for which it is chosen; None: any number."""
    overlapped: bool = False
    """Whether it may be started before what it waits for has ended (`cubins/overlap.py`)."""


def signature(text: str, precision: str = "bf16") -> dict[str, str]:
    """`x:k w:k n:i` as Triton's types by name; `k` is a pointer to the model's own precision."""
    letters = {**SHORT, "k": PRECISIONS[precision]}
    return {name: letters[kind] for name, kind in (pair.split(":") for pair in text.split())}
