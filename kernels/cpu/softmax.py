"""A softmax in mergeable parts: each block of keys is reduced on its own, then merged in order."""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.emit import Expr, Register, exp2, f32, fma, intrinsic, lanes, scratch, splat

MASKED = -1e30


class Partial:
    """Output [rows, dim], sums of weights by lane [rows, 16] and maxima [rows] over some keys."""

    def __init__(self, rows: int, dim: int) -> None:
        self.rows, self.dim = rows, dim
        self.out, self.sums, self.top = scratch(rows * dim), scratch(rows * 16), scratch(rows)

    def clear(self) -> None:
        with T.serial(0, self.rows) as row:
            T.buffer_store(self.top, T.float32(MASKED), [row])
            T.buffer_store(self.sums, f32(0), [lanes(row * 16)])
        with T.serial(0, self.rows * self.dim // 16) as i:
            T.buffer_store(self.out, f32(0), [lanes(i * 16)])

    def merge(self, block: "Partial") -> None:
        """One fixed formula, applied block by block in ascending order (law 1)."""
        with T.serial(0, self.rows) as row:
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

    def normalised(self, row: Expr) -> list[Any]:
        """The vectors of one row of the result. The sum of the weights goes lane by lane."""
        lane_sums = self.sums[lanes(row * 16)]
        total = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), lane_sums)
        divisor = Register(splat(total))
        at = [lanes(row * self.dim + j * 16) for j in range(self.dim // 16)]
        return [Register(self.out[a] / divisor.get()) for a in at]
