"""A pass over blocks of numbers as GGUF files have them, sixteen numbers at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import LANES, Expr, Register, function, lanes, splat
from raylax.kernels.cpu.tir.halves import from_bits


class Block:
    """The bytes of one, which begin at a byte of many."""

    def __init__(self, content: Expr, first: Expr, size: int) -> None:
        self._content, self._first, self.size = content, first, size

    def byte(self, at: int) -> Expr:
        """int32."""
        return T.cast(self._content[self._first + at], "int32")

    def half(self, at: int) -> Register:
        """f32 of the f16 there."""
        bits = T.bitwise_or(self.byte(at), T.shift_left(self.byte(at + 1), T.int32(8)))
        return Register(from_bits(bits, lambda one: one, "float32"), "float32")

    def bits(self, at: int, shift: int, mask: int, up: int = 0) -> Expr:
        """uint8x16: some bits of 16 bytes, moved up."""
        found = self._content[lanes(self._first + at)]
        if shift:
            found = T.shift_right(found, splat(T.uint8(shift)))
        if shift + mask.bit_length() < 8:
            found = T.bitwise_and(found, splat(T.uint8(mask)))
        return T.shift_left(found, splat(T.uint8(up))) if up else found


Sixteens = Callable[[Block], Callable[[int], Expr]]
"""What a block has in common, and then each of its sixteens, as it is stored."""


class BlockType(NamedTuple):
    """What blocks of a type are made into."""

    size: int
    """Bytes of a block."""
    numbers: int
    sixteens: Sixteens

    def emitted(self, name: str, dtype: str) -> Any:
        """The PrimFunc run(count, bytes[count * size], dtype[count * numbers]), of this name."""
        with function(name) as builder:
            count = T.arg("count", T.int32())
            content = T.arg("content", T.buffer((count * self.size,), "uint8"))
            out = T.arg("out", T.buffer((count * self.numbers,), dtype))
            with T.serial(0, count) as i:
                of = self.sixteens(Block(content, i * self.size, self.size))
                for n in range(self.numbers // LANES):
                    T.buffer_store(out, of(n), [lanes(i * self.numbers + n * LANES)])
        return builder.get()
