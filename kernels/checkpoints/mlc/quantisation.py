"""Weights in groups, as MLC packs them: digits of a word from the lowest bit on, less the largest
one that has a sign, times the scale of their group."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.groups import SCALES, Groups, Kind, packed_words
from raylax.kernels.checkpoints.mlc.parameters import Parameter
from raylax.kernels.checkpoints.tensors import widened
from raylax.kernels.errors import CheckpointError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
WORD = 32


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a format keeps weights. Its names are MLC's."""

    bits: int
    group: int
    inputs_first: bool = False
    """Whether words lie along the first axis, and rows are the second."""

    @property
    def per_word(self) -> int:
        """Digits of a word; of 3 bits two bits are left."""
        return WORD // self.bits

    @property
    def zero(self) -> int:
        """The digit that is 0."""
        return (1 << self.bits - 1) - 1


GROUPINGS = {
    "q4f16_0": Grouping(4, 32, inputs_first=True),
    "q4f16_1": Grouping(4, 32),
    "q4f16_2": Grouping(4, 32),
    "q4f32_1": Grouping(4, 32),
    "q4bf16_0": Grouping(4, 32, inputs_first=True),
    "q4bf16_1": Grouping(4, 32),
    "q3f16_0": Grouping(3, 40, inputs_first=True),
    "q3f16_1": Grouping(3, 40),
}
PLAIN = ("q0f16", "q0f32", "q0bf16")


@dataclass(frozen=True, slots=True)
class Grouped:
    """A matrix of which digits and scales lie apart."""

    words: Parameter
    scales: Parameter
    how: Grouping
    depth: int
    """Inputs that it has; the last group may have more."""
    first: int = 0
    count: int | None = None
    """Rows that are meant; None: all."""

    @property
    def file(self) -> Path:
        return self.words.file

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        rows = self.words.shape[1 if self.how.inputs_first else 0]
        return rows if self.count is None else self.count, self.depth

    def of_expert(self, number: int) -> "Grouped":
        """One of those that it has of all experts."""
        words, scales = (one.of_expert(number) for one in (self.words, self.scales))
        return replace(self, words=words, scales=scales)

    def part(self, first: int, count: int) -> "Grouped":
        """Some of its rows."""
        return replace(self, first=first, count=count)

    def read(self, rows: slice = WHOLE) -> Floats:
        """These rows in f32."""
        codes, raw = self._parts(rows)
        scales, count = widened(raw, self.scales.precision), len(codes)
        digits = codes[:, : scales.shape[1] * self.how.group].astype(np.float32)
        grouped = digits.reshape(count, scales.shape[1], self.how.group) - np.float32(self.how.zero)
        out: Floats = (grouped * scales[..., None]).reshape(count, -1)[:, : self.depth]
        return np.ascontiguousarray(out)

    def _parts(self, rows: slice) -> tuple[Array, Array]:
        """Digits of these rows, perhaps more than it has inputs, and scales as they lie there."""
        (words, scales), bits = self._rows(rows), self.how.bits
        shifts = np.arange(self.how.per_word, dtype=np.uint32) * np.uint32(bits)
        codes = words[..., None] >> shifts & np.uint32((1 << bits) - 1)
        return codes.reshape(len(words), -1), scales

    def _rows(self, rows: slice) -> tuple[Array, Array]:
        """Words and scales of these."""
        words, scales = self.words.mapped(), self.scales.mapped()
        if self.how.inputs_first:
            words, scales = words.T, scales.T
        first, end, _ = rows.indices(self.shape[0])
        own = slice(self.first + first, self.first + end)
        return words[own], scales[own]

    @property
    def form(self) -> Kind | str:
        """In groups of 32, if its rows are whole groups; else how many bits it has."""
        if self.how.group != 32 or self.depth % 32 or self.scales.precision not in SCALES:
            return f"{self.how.bits} bits in groups of {self.how.group}"
        return Kind(4, 32, SCALES[self.scales.precision])

    def groups(self, rows: slice = WHOLE) -> Groups:
        """These rows. Our codes of 0 is 8, MLC's is 7: so all signs are the other way around."""
        kind = self.form
        assert isinstance(kind, Kind)
        words, scales = self._rows(rows)
        sign = np.array(1 << 8 * scales.itemsize - 1, f"u{scales.itemsize}")
        minus = (np.ascontiguousarray(scales).view(sign.dtype) ^ sign).view(scales.dtype)
        return Groups(kind, packed_words(~words[:, : self.depth // 8]), minus)  # 15 - each code

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """None: it lies in no file as a whole."""
        return None


def check_fit(name: str, made: Grouped) -> None:
    """Raises CheckpointError for words and scales that are not of one matrix."""
    how, axis = made.how, 0 if made.how.inputs_first else 1
    words, scales = made.words, made.scales
    groups = -(-made.depth // how.group)
    if (
        len(words.shape) != 2
        or len(scales.shape) != 2
        or words.precision != "uint32"
        or words.shape[1 - axis] != scales.shape[1 - axis]
        or scales.shape[axis] != groups
        or words.shape[axis] * how.per_word < made.depth
    ):
        raise CheckpointError(
            f"{words.file}: {name}: {words.shape} words and {scales.shape} scales are not those of "
            f"{made.depth} inputs in groups of {how.group}"
        )
