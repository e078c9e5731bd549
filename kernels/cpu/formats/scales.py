"""The scales of groups of weights, as they lie before the codes that they belong to.

Some groups of a panel are a block, which begins with the scales of all: a line of 32 halves, one
for each row, or two of f32; then the same of what is added to scaled codes. Of two levels there
are the outer ones of both, and a line for each group with 32 inner scales and 32 inner minima.
"""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.checkpoints.groups import BLOCK, Array, Groups, Kind
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Expr, Register, f32, fma, lanes, splat
from raylax.kernels.cpu.tir.halves import f16_at, f16s, halves_at
from raylax.kernels.shards import GROUP, PANEL

WORDS = 16
"""int32 of a line."""
HALVES = PANEL // 2
"""Words of a line of halves: one for two rows."""


class Scales:
    """Of one kind of groups, for panels of 32 rows."""

    def __init__(self, kind: Kind, cpu: CPU) -> None:
        self.kind, self._native = kind, cpu.native_f16
        self._wide = 2 if kind.scale == "f32" else 1  # lines of scales
        levels = kind.scale == "levels"
        self.span = (BLOCK if levels else kind.group) // GROUP
        """Groups of activations that a block of weights has."""
        self.lines = self._wide + bool(kind.offset) + (self.span if levels else 0)
        """At the beginning of a block."""

    # Packed

    def place(self, groups: Groups) -> Array:
        """int32[panels, blocks, words of the lines]."""
        scale, offset = groups.scale, groups.offset
        if self.kind.offset == "zero" and offset is not None:
            offset = offset.astype(np.float16)
        lines = [scale] if offset is None else [scale, offset]
        parts = [in_panels(one, 1) for one in lines]
        if groups.inner is not None and groups.inner_offset is not None:
            inner = (in_panels(one, self.span) for one in (groups.inner, groups.inner_offset))
            both = np.concatenate(list(inner), 3)
            parts.append(both.reshape(*both.shape[:2], 1, -1))
        flat = [np.ascontiguousarray(one[:, :, 0]).view(np.int32) for one in parts]
        return np.concatenate(flat, 2)

    # Read

    def of_rows(self, at: Any, inner: Expr, half: int) -> tuple[Register, Register | None]:
        """float32x16 of a half of the panel, for one group of a block: scales, and what is added to
        scaled codes. `at(index)`: words of the block."""
        scale = Register(self._vector(at, 0, half))
        if not self.kind.offset:
            return scale, None
        offset = Register(f16s(at(lanes(self._wide * WORDS + half * 8, 8)), self._native))
        minus = f32(0) - offset.get()
        if self.kind.scale == "levels":
            line = (2 + inner) * WORDS + half * 4
            offset.set(minus * bytes_of(at(lanes(line + 8, 4))))
            scale.set(scale.get() * bytes_of(at(lanes(line, 4))))
        elif self.kind.offset == "zero":
            offset.set(fma(minus, scale.get(), f32(0)))
        return scale, offset

    def _vector(self, at: Any, line: int, half: int) -> Expr:
        if self.kind.scale == "f32":
            return T.reinterpret("float32x16", at(lanes((line + half) * WORDS)))
        words = at(lanes(line * WORDS + half * 8, 8))
        if self.kind.scale == "bf16":
            bits = T.cast(T.reinterpret("uint16x16", words), "int32x16")
            return T.reinterpret("float32x16", T.shift_left(bits, splat(T.int32(16))))
        return f16s(words, self._native)

    def of_row(self, at: Any, inner: Expr, row: Expr) -> Any:
        """The same for one row of the panel: a function from a code, in f32, to its weight."""
        scale = Register(self._scalar(at, row), "float32")
        if not self.kind.offset:
            zero = T.float32(self.kind.zero)
            return lambda code: (code - zero) * scale.get()
        offset = Register(f16_at(at, self._wide * WORDS, row), "float32")
        if self.kind.offset == "zero":
            return lambda code: (code - offset.get()) * scale.get()
        if self.kind.scale == "levels":
            line = (2 + inner) * WORDS
            scale.set(scale.get() * byte_at(at, line, row))
            offset.set((T.float32(0) - offset.get()) * byte_at(at, line + 8, row))
        return lambda code: fma(code, scale.get(), offset.get(), "float32")

    def _scalar(self, at: Any, row: Expr) -> Expr:
        if self.kind.scale == "f32":
            return T.reinterpret("float32", at(row))
        if self.kind.scale == "bf16":
            return T.reinterpret("float32", T.shift_left(halves_at(at, 0, row), T.int32(16)))
        return f16_at(at, 0, row)


def in_panels(scales: Array, span: int) -> Array:
    """[rows, blocks * span] -> [panels, blocks, span, 32]; blocks that are not full get zeros."""
    panels = len(scales) // PANEL
    short = -scales.shape[1] % span
    whole = np.pad(scales, ((0, 0), (0, short))) if short else scales
    out: Array = whole.reshape(panels, PANEL, -1, span).transpose(0, 2, 3, 1)
    return out


def bytes_of(words: Expr) -> Expr:
    """int32x4 of 16 unsigned bytes -> float32x16."""
    return T.cast(T.cast(T.reinterpret("uint8x16", words), "int32x16"), "float32x16")


def byte_at(at: Any, line: Expr, row: Expr) -> Expr:
    """Byte `row` of those that begin at a word, in f32."""
    word = at(line + T.floordiv(row, 4))
    byte = T.bitwise_and(T.shift_right(word, T.floormod(row, 4) * 8), T.int32(0xFF))
    return T.cast(byte, "float32")
