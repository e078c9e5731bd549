"""A softmax in mergeable parts: each block of keys is reduced on its own, then merged in order."""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    exp2,
    f32,
    fma,
    intrinsic,
    lanes,
    scratch,
    splat,
)

MASKED = -1e30
LEAST = -1e29  # of a maximum: so a masked key weighs 0 also where all keys of a block are masked


class Partial:
    """Output [rows, dim], sums of weights by lane [rows, 16] and maxima [rows] over some keys.

    Of the rows the first `used` are worked on.
    """

    def __init__(self, rows: int, dim: int, used: Expr) -> None:
        self.used, self.dim = used, dim
        self.out, self.sums, self.top = scratch(rows * dim), scratch(rows * 16), scratch(rows)

    def clear(self) -> None:
        """Nothing yet: no keys were seen."""
        with T.serial(0, self.used) as row:
            T.buffer_store(self.top, T.float32(MASKED), [row])
            T.buffer_store(self.sums, f32(0), [lanes(row * 16)])
        with T.serial(0, self.used * (self.dim // 16)) as i:
            T.buffer_store(self.out, f32(0), [lanes(i * 16)])

    def keep(self, memory: Any, first: Expr) -> None:
        """Stores all of it into rows `first`... of memory[row, dim + 32]."""
        with T.serial(0, self.used) as row:
            for j in range(self.dim // 16):
                out = self.out[lanes(row * self.dim + j * 16)]
                memory.store(out, first + row, lanes(j * 16))
            memory.store(self.sums[lanes(row * 16)], first + row, lanes(self.dim))
            memory.store(self.top[row], first + row, self.dim + 16)

    def recall(self, memory: Any, first: Expr) -> None:
        """Loads what was kept there."""
        with T.serial(0, self.used) as row:
            for j in range(self.dim // 16):
                out = memory[first + row, lanes(j * 16)]
                T.buffer_store(self.out, out, [lanes(row * self.dim + j * 16)])
            sums = memory[first + row, lanes(self.dim)]
            T.buffer_store(self.sums, sums, [lanes(row * 16)])
            T.buffer_store(self.top, memory[first + row, self.dim + 16], [row])

    def merge(self, block: "Partial") -> None:
        """Takes in what further keys came to: by one formula, block by block in ascending order
        (law 1)."""
        with T.serial(0, self.used) as row:
            old, new = self.top[row], block.top[row]
            top = Register(splat(T.max(old, new)))
            keep, add = (Register(exp2(splat(part) - top.get())) for part in (old, new))

            def blend(mine: Expr, theirs: Expr, at: Expr) -> None:
                kept = mine[lanes(at)] * keep.get()
                T.buffer_store(mine, fma(theirs[lanes(at)], add.get(), kept), [lanes(at)])

            blend(self.sums, block.sums, row * 16)
            for j in range(self.dim // 16):
                blend(self.out, block.out, row * self.dim + j * 16)
            T.buffer_store(self.top, T.max(old, new), [row])

    def see_sink(self, row: Expr, score: Expr) -> None:
        """Takes in a score, as a power of two, that has no value: https://arxiv.org/abs/2309.17453
        calls it a sink."""
        old = Register(self.top[row], "float32")
        top = Register(splat(T.max(old.get(), score)))
        keep, add = (Register(exp2(splat(one) - top.get())) for one in (old.get(), score))
        first = T.Select(lanes(0) < splat(T.int32(1)), add.get(), f32(0))
        at = lanes(row * 16)
        T.buffer_store(self.sums, fma(self.sums[at], keep.get(), first), [at])
        for j in range(self.dim // 16):
            at = lanes(row * self.dim + j * 16)
            T.buffer_store(self.out, self.out[at] * keep.get(), [at])

    def normalised(self, row: Expr) -> list[Any]:
        """The vectors of one row of the result. The sum of the weights goes lane by lane."""
        lane_sums = self.sums[lanes(row * 16)]
        total = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), lane_sums)
        divisor = Register(splat(total))
        at = [lanes(row * self.dim + j * 16) for j in range(self.dim // 16)]
        return [Register(self.out[a] / divisor.get()) for a in at]
