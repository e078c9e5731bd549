"""Weights as small integers in groups along a row, each group with a scale: what files have that
were quantised, taken apart and not rounded again."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import from_bf16

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
LINE: Final = 32
"""Weights of a row whose codes lie together."""
BLOCK: Final = 256
"""Weights that share the outer scale of two levels."""


Table = Literal["", "e2m1"]
TABLES: dict[Table, tuple[tuple[int, ...], int]] = {
    "e2m1": ((12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0), 12),
}
"""Larger codes that codes of 4 bits stand for, and which of those is 0: of e2m1 twice the numbers,
https://arxiv.org/abs/2310.10537."""
Scale = Literal["bf16", "f16", "f32", "levels"]
SCALES: dict[str, Scale] = {"float16": "f16", "bfloat16": "bf16", "float32": "f32"}
"""By the precision that they have in files."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How weights are kept; two tensors of one kind can lie in one matrix."""

    bits: Literal[4, 8]
    group: Literal[32, 128] = 32
    """Weights of a row that share a scale."""
    scale: Scale = "f16"
    """levels: a small integer, times an f16 that 256 weights share."""
    offset: Literal["", "zero", "minimum"] = ""
    """What a code begins at. Nothing: code - 2^(bits - 1) is scaled; zero: code - zero is, with a
    zero for each group; minimum: the code is scaled, and an f16 for each group is added, or with
    two levels subtracted."""
    table: Table = ""
    """What codes of 4 bits stand for; nothing: themselves."""

    @property
    def zero(self) -> int:
        """The code of the number 0, where the kind says it: of a table's."""
        if self.table:
            return TABLES[self.table][1]
        return 0 if self.offset else 1 << self.bits - 1

    @property
    def fields(self) -> tuple[str, ...]:
        """The arrays that `Groups` of this kind have."""
        inner = ("inner", "inner_offset") if self.scale == "levels" else ()
        return "codes", "scale", *(("offset",) if self.offset else ()), *inner

    def holds(self, other: "Kind") -> bool:
        """Whether groups of another kind are this one's as well, nothing rounded."""
        fits = self.bits >= (8 if other.table else other.bits)
        return self == other or (fits and replace(other, bits=self.bits, table="") == self)

    def __str__(self) -> str:
        extra = {"": "", "zero": ", zeros", "minimum": ", minimum"}[self.offset]
        scale = "two levels of scales" if self.scale == "levels" else f"{self.scale} scales"
        table = f" of {self.table}" if self.table else ""
        return f"{self.bits} bits{table}, groups of {self.group}, {scale}{extra}"


def own(bits: Literal[4, 8]) -> Kind:
    """The kind of what we make of floats."""
    return Kind(bits, LINE, "bf16")


@dataclass(frozen=True, slots=True)
class Groups:
    """Some rows of a matrix."""

    kind: Kind
    codes: Bytes
    """[rows, columns * bits / 8]; a byte of 4 bits has a weight in its low half, and in its high
    half the one 16 further along the row."""
    scale: Array
    """[rows, groups]; of bf16 the bits. Of two levels the outer one, [rows, columns / 256] in
    f16."""
    offset: Array | None = None
    """[rows, groups]: zeros in u8, or minima in f16; of two levels the outer ones."""
    inner: Array | None = None
    """[rows, columns / 32] in u8: what the outer scales are multiplied with."""
    inner_offset: Array | None = None
    """The same for minima."""

    @property
    def are_finite(self) -> bool:
        """Whether all numbers are: scales and minima may be none."""
        if self.kind.scale == "bf16":
            whole = bool(((self.scale & 0x7F80) != 0x7F80).all())
        else:
            whole = bool(np.isfinite(self.scale).all())
        return whole and (self.offset is None or bool(np.isfinite(self.offset).all()))

    @property
    def numbers(self) -> Bytes:
        """u8[rows, columns]: codes, or what they stand for in a table."""
        codes = unpacked(self.codes, self.kind.bits)
        if not self.kind.table:
            return codes
        table, _ = TABLES[self.kind.table]
        return np.array(table, np.uint8)[codes]

    def as_kind(self, kind: Kind) -> "Groups":
        """The same numbers in a kind that holds this one."""
        assert kind.holds(self.kind)
        if kind == self.kind:
            return self
        codes = self.numbers + np.uint8(kind.zero - self.kind.zero)
        return replace(self, kind=kind, codes=packed(codes, kind.bits))

    def values(self) -> Floats:
        """f32[rows, columns], as whoever wrote them meant them."""
        group = self.kind.group
        codes = as_f32(self.numbers)
        scale = from_bf16(self.scale) if self.kind.scale == "bf16" else as_f32(self.scale)
        offset = None if self.offset is None else as_f32(self.offset)
        if self.inner is not None and self.inner_offset is not None and offset is not None:
            scale = outer(scale, self.inner) * as_f32(self.inner)
            offset = -(outer(offset, self.inner_offset) * as_f32(self.inner_offset))

        def wide(numbers: Floats) -> Floats:
            return numbers.repeat(group, 1)[:, : codes.shape[1]]

        if offset is None:
            return (codes - np.float32(self.kind.zero)) * wide(scale)
        if self.kind.offset == "zero":
            return (codes - wide(offset)) * wide(scale)
        return codes * wide(scale) + wide(offset)


def as_f32(array: Array) -> Floats:
    """Numbers in f32."""
    return array.astype(np.float32)


def outer(scales: Floats, inner: Array) -> Floats:
    """The outer scale of each inner one."""
    return scales.repeat(BLOCK // LINE, 1)[:, : inner.shape[1]]


def packed(codes: Bytes, bits: int) -> Bytes:
    """Codes [rows, columns], as `Groups` has them. Columns are a multiple of 32."""
    if bits == 8:
        return codes
    halves = codes.reshape(len(codes), -1, 2, LINE // 2)
    both: Bytes = halves[:, :, 0] | halves[:, :, 1] << np.uint8(4)
    return both.reshape(len(codes), -1)


def packed_words(words: Array) -> Bytes:
    """The same of codes of 4 bits that lie eight in a word of 32, from the lowest on: words [rows,
    columns / 8]."""
    lines = np.ascontiguousarray(words).view(np.uint32).reshape(len(words), words.shape[1] // 4, 4)
    both = joined(*(np.ascontiguousarray(one) for one in (lines[:, :, :2], lines[:, :, 2:])))
    out = np.empty((both[0].size * 4, 2), np.uint8)
    for i, part in enumerate(both):
        out[:, i] = part.reshape(-1).view(np.uint8)
    return out.reshape(len(words), words.shape[1] * 4)


def joined(low: Array, high: Array) -> tuple[Array, Array]:
    """Words of codes that belong into low and high halves -> words of bytes with both: of the codes
    that lie in low halves, and of those in high ones."""
    first, second, four = np.uint32(0x0F0F0F0F), np.uint32(0xF0F0F0F0), np.uint32(4)
    return low & first | (high & first) << four, low >> four & first | high & second


def unpacked(codes: Bytes, bits: int) -> Bytes:
    """What `packed` was given."""
    if bits == 8:
        return codes
    lines = codes.reshape(len(codes), -1, LINE // 2)
    return np.stack([lines & np.uint8(15), lines >> np.uint8(4)], 2).reshape(len(codes), -1)


def group_of(width: int, columns: int) -> Literal[32, 128] | None:
    """The group that scales of `width` weights each are kept for; None: there is none such."""
    if columns % LINE:
        return None
    if width % 128 == 0 or width >= columns:
        return 128
    return 32 if width % 32 == 0 else None


def spread(scales: Array, width: int, columns: int, group: int) -> Array:
    """Scales of `width` weights each -> of each group, [rows, groups]."""
    groups = -(-columns // group)
    starts = np.arange(groups) * group // width
    return scales[:, starts]
