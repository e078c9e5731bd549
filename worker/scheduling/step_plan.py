"""The step plan: everything that a rank needs to know to run one step (law 4)."""

import struct
from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.scheduling.sequence import Sequence, ints

Ints = npt.NDArray[np.int32]
Work = tuple[Sequence, int, int]
"""What a step does for a sequence: it computes so many of its pending tokens, and has a row of its
output for so many of these, the last ones."""
HEAD = struct.Struct("<q4i")
"""number, tokens, sequences, pages of the longest sequence, rows. All arrays follow, in order."""
LEAST_PIECE = 16
"""Tokens. A smaller piece of a plan takes as long as a larger one: its weights must be read."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Arguments of `Model.step`; see there for shapes. `rows`: the tokens, by their index in the
    step, that want a row of its output."""

    number: int
    tokens: Ints
    positions: Ints
    slots: Ints
    query_starts: Ints
    kv_lengths: Ints
    page_table: Ints
    rows: Ints

    def arguments(self) -> dict[str, Any]:
        """The arrays by name, as the model's step takes them."""
        return {
            "tokens": self.tokens,
            "positions": self.positions,
            "slots": self.slots,
            "query_starts": self.query_starts,
            "kv_lengths": self.kv_lengths,
            "page_table": self.page_table,
            "rows": self.rows,
        }

    def encode(self) -> bytes:
        """The plan as it goes to the other ranks: a header and the numbers. Msgpack is no faster,
        and pickle takes several times as long."""
        batch, pages = self.page_table.shape
        head = HEAD.pack(self.number, len(self.tokens), batch, pages, len(self.rows))
        return b"".join([head, *self.arguments().values()])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The plan that was encoded; its arrays lie in `data`."""
        number, tokens, batch, pages, rows = HEAD.unpack_from(data)
        parts, at = [], HEAD.size
        for size in (tokens, tokens, tokens, batch + 1, batch, batch * pages, rows):
            parts.append(np.frombuffer(data, np.int32, size, at))
            at += size * 4
        parts[5] = parts[5].reshape(batch, pages)
        return cls(number, *parts)

    def pieces(self, count: int) -> Iterator[Self]:
        """The plan as at most `count` plans of about as many tokens, to be run one after the other
        with the same results; a prefill may be cut in two. For pipeline stages."""
        count = max(1, min(count, len(self.tokens) // LEAST_PIECE))
        bounds = [len(self.tokens) * i // count for i in range(count + 1)]
        for begin, end in pairwise(bounds):
            yield self._between(begin, end)

    def _between(self, begin: int, end: int) -> Self:
        """The part of the plan that computes these of its tokens."""
        starts = self.query_starts
        first = int(np.searchsorted(starts, begin, "right")) - 1
        last = int(np.searchsorted(starts, end, "left"))
        inside = np.clip(starts[first : last + 1], begin, end) - np.int32(begin)
        after = np.maximum(starts[first + 1 : last + 1] - np.int32(end), 0)
        wanted = self.rows[(self.rows >= begin) & (self.rows < end)] - np.int32(begin)
        return type(self)(
            self.number,
            self.tokens[begin:end],
            self.positions[begin:end],
            self.slots[begin:end],
            inside,
            self.kv_lengths[first:last] - after,
            self.page_table[first:last],
            wanted,
        )


def make_plan(number: int, batch: abc.Sequence[Work]) -> StepPlan:
    """Lay out a step for these sequences, whose pages suffice. Their rows lie in the order of the
    batch, those of one in the order of its tokens.

    Nothing runs meanwhile, so this is laid out by appending: a call of numpy costs more than all
    that a decode needs.
    """
    tokens, positions, slots, table = ints(), ints(), ints(), ints()
    starts, lengths, rows = ints([0]), ints(), ints()
    padding = ints([0]) * max(len(one.pages) for one, _, _ in batch)
    for one, count, wanted in batch:
        pages, computed = one.pages, range(one.computed, one.computed + count)
        tokens += one.tokens[computed.start : computed.stop]
        positions.extend(computed)
        slots.extend([pages[at // PAGE_SIZE] * PAGE_SIZE + at % PAGE_SIZE for at in computed])
        starts.append(len(tokens))
        lengths.append(computed.stop)
        table += pages
        table += padding[len(pages) :]
        if wanted == 1:
            rows.append(len(tokens) - 1)
        else:
            rows.extend(range(len(tokens) - wanted, len(tokens)))
    return StepPlan(
        number,
        np.asarray(tokens),
        np.asarray(positions),
        np.asarray(slots),
        np.asarray(starts),
        np.asarray(lengths),
        np.asarray(table).reshape(len(batch), -1),
        np.asarray(rows),
    )
