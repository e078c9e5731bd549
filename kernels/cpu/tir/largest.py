"""The largest of a row of numbers, and where it stands."""

from collections.abc import Callable

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import Expr, Register, f32, intrinsic, lanes, splat

NEVER = -3e38
"""Below any number that counts."""


def first_largest(
    vectors: int, read: Callable[[Expr], Expr], count: int | None = None
) -> tuple[Register, Register]:
    """Of vectors of sixteen floats: the largest, and the first index that has it, an int32.
    `count`: numbers that count, where the rest of the vectors is something else."""
    best, where = Register(f32(NEVER)), Register(splat(T.int32(0)), "int32x16")
    with T.serial(0, vectors) as j:
        index = lanes(j * 16)
        value = Register(read(index))
        more = value.get() > best.get()
        if count is not None:
            more = T.bitwise_and(more, index < splat(count))
        where.set(T.Select(more, index, where.get()))
        best.set(T.Select(more, value.get(), best.get()))
    top = Register(intrinsic("float32", "llvm.vector.reduce.fmax", best.get()), "float32")
    ties = T.Select(best.get() >= splat(top.get()), where.get(), splat(T.int32(2**31 - 1)))
    first = Register(intrinsic("int32", "llvm.vector.reduce.smin", ties), "int32")
    return top, first
