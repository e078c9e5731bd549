"""Blocks of GGUF files whose scales are of two levels, put into panels as they are.

Panels lie as `kernels/cpu/formats/grouped.py` has them. Lanes are rows, so that a line of a panel
is one store, and bytes stay in words of four.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import LANES, Expr, Register, function, lanes
from raylax.kernels.shards import PANEL

GROUPS, HEAD = 8, 10
"""Of a block; and lines of its scales in a panel."""
LOW, HIGH, FIFTH = 0x0F0F0F0F, 0xF0F0F0F0, 0x01010101
"""Of four bytes, halves and a bit."""


@dataclass(frozen=True, slots=True)
class Words:
    """int32 in lanes."""

    value: Expr
    count: int = LANES

    def _all(self, number: Expr) -> Expr:
        if isinstance(number, int):
            number = T.int32(number - (1 << 32) if number >= 1 << 31 else number)
        return T.broadcast(number, self.count)

    def __and__(self, mask: int) -> "Words":
        return Words(T.bitwise_and(self.value, self._all(mask)), self.count)

    def __or__(self, other: "Words") -> "Words":
        return Words(T.bitwise_or(self.value, other.value), self.count)

    def __lshift__(self, bits: int) -> "Words":
        return Words(T.shift_left(self.value, self._all(bits)), self.count)

    def __rshift__(self, bits: Expr) -> "Words":
        """What comes in from above is the sign's: to be masked."""
        return Words(T.shift_right(self.value, self._all(bits)), self.count)


class Panel:
    """A block of each of 32 rows, and where it goes."""

    def __init__(self, content: Expr, row: Expr, between: Expr, out: Expr, first: Expr) -> None:
        self._content, self._row, self._between = content, row, between
        self._out, self._first = out, first

    def words(self, at: Expr, row: Expr, step: int = 1, count: int = LANES) -> Words:
        """A word of `count` rows, each `step` after the one before."""
        first = self._row + row * self._between + at
        found = self._content[T.ramp(first, step * self._between, count)]
        return Words(Register(found, f"int32x{count}").get(), count)

    def store(self, line: Expr, words: Words, at: Expr = 0) -> None:
        """A line, or a part of it that begins with this word."""
        place = lanes(self._first + line * LANES + at, words.count)
        T.buffer_store(self._out, words.value, [place])


def emitted(name: str, bits: int) -> Any:
    """The PrimFunc run(panels, blocks of a row, words, lines): of rows one after the other, their
    codes in so many bits."""
    words, put, lines = WORDS[name], PUT[name, bits], HEAD + GROUPS * 2 * bits
    with function("put") as builder:
        panels, count = (T.arg(one, T.int32()) for one in ("panels", "count"))
        blocks = panels * count
        content = T.arg("content", T.buffer((blocks * PANEL * words,), "int32"))
        out = T.arg("out", T.buffer((blocks * lines * LANES,), "int32"))
        with T.serial(0, panels) as i, T.serial(0, count) as b:
            row, first = (i * PANEL * count + b) * words, (i * count + b) * lines * LANES
            panel = Panel(content, row, count * words, out, first)
            outer_scales(panel)
            inner_scales(panel)
            with T.serial(0, GROUPS // 2) as pair, T.serial(0, 2) as half:
                put(panel, pair, half)
    return builder.get()


def outer_scales(panel: Panel) -> None:
    """Scales of 32 rows, and their minima: two halves in a word."""
    even, odd = (panel.words(0, row, 2) for row in range(2))
    panel.store(0, even & 0xFFFF | odd << 16)
    panel.store(1, even >> 16 & 0xFFFF | odd & 0xFFFF0000)


def inner_scales(panel: Panel) -> None:
    """Of each group 32 scales and 32 minima, four rows in a word. They have 6 bits; those of the
    last four groups have their high ones elsewhere."""
    with T.serial(0, 2) as kind:
        own, rest = ([panel.words(at, row, 4, 8) for row in range(4)] for at in (1 + kind, 3))
        with T.serial(0, GROUPS // 2) as group:
            first, last = [], []
            for words, others in zip(own, rest, strict=True):
                first.append(words >> group * 8 & 0x3F)
                last.append(others >> group * 8 + 4 * kind & 0x0F | words >> group * 8 + 2 & 0x30)
            panel.store(2 + group, bytes_of(first), kind * 8)
            panel.store(2 + GROUPS // 2 + group, bytes_of(last), kind * 8)


def fours(panel: Panel, pair: Expr, half: Expr) -> None:
    """Two groups are the low and the high halves of 32 bytes; ours are of 16."""
    with T.serial(0, 4) as column:
        first, second = (panel.words(4 + pair * 8 + i + column, half * LANES) for i in (0, 4))
        low, high = first & LOW | (second & LOW) << 4, first >> 4 & LOW | second & HIGH
        for i, words in enumerate((low, high)):
            panel.store(HEAD + (pair * 4 + i * 2 + half) * 4 + column, words)


def fours_in_bytes(panel: Panel, pair: Expr, half: Expr) -> None:
    """As Q5_K, so that both can lie in one matrix."""
    with T.serial(0, 8) as column:
        nibbles = panel.words(4 + pair * 8 + column, half * LANES)
        for i in range(2):
            panel.store(HEAD + (pair * 4 + i * 2 + half) * 8 + column, nibbles >> 4 * i & LOW)


def fives(panel: Panel, pair: Expr, half: Expr) -> None:
    """In bytes, each with its fifth bit."""
    with T.serial(0, 8) as column:
        nibbles = panel.words(12 + pair * 8 + column, half * LANES)
        fifths = panel.words(4 + column, half * LANES)
        for i in range(2):
            words = nibbles >> 4 * i & LOW | (fifths >> pair * 2 + i & FIFTH) << 4
            panel.store(HEAD + (pair * 4 + i * 2 + half) * 8 + column, words)


WORDS = {"Q4_K": 36, "Q5_K": 44}
"""Of a block: outer scale and minimum, three of inner ones, of Q5_K eight of fifth bits, codes."""
PUT: dict[tuple[str, int], Callable[[Panel, Expr, Expr], None]] = {
    ("Q4_K", 4): fours,
    ("Q4_K", 8): fours_in_bytes,
    ("Q5_K", 8): fives,
}
"""What puts codes into a panel, by their bits there: of two groups, in half of the rows."""


def bytes_of(rows: list[Words]) -> Words:
    """Words of a byte each -> words of four."""
    words, *others = rows
    for i, one in enumerate(others):
        words |= one << 8 * (i + 1)
    return words
