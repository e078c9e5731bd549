"""The step plan: everything that a rank needs to know to run one step (law 4)."""

import struct
from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np

from raylax.kernels.draws.rules import NOTHING, StepDraws
from raylax.kernels.model import StepBatch
from raylax.proto.pages import PAGE_SIZE
from raylax.worker.scheduling.sequence import Sequence, ints

Work = tuple[Sequence, int, int]
"""What a step does for a sequence: it computes so many of its pending tokens, and behind those of
its draft, and has a row of its output for so many of these, the last ones."""
HEAD = struct.Struct("<q6i")
"""number, tokens, sequences, pages of the longest sequence, rows, rules, changes. All arrays
follow, in order."""
DRAWS: tuple[Any, ...] = tuple(values.dtype for values in NOTHING)
LEAST_PIECE = 16
"""Tokens. A smaller piece of a plan takes as long as a larger one: its weights must be read."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A batch for `Model.step`, and which of an engine's steps it is."""

    number: int
    batch: StepBatch

    def encode(self) -> bytes:
        """The plan as it goes to the other ranks: a header and the numbers. Msgpack is no faster,
        and pickle takes several times as long."""
        *arrays, draws = self.batch
        tokens, table, rows = self.batch.tokens, self.batch.page_table, self.batch.rows
        drawn = NOTHING if draws is None else draws
        sizes = len(tokens), *table.shape, len(rows), len(drawn.rules), len(drawn.ids)
        parts: list[Any] = [HEAD.pack(self.number, *sizes), *arrays, *drawn]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The plan that was encoded; its arrays lie in `data`."""
        number, tokens, batch, pages, rows, rules, changes = HEAD.unpack_from(data)
        counts = [tokens, tokens, tokens, batch + 1, batch, batch * pages, rows]
        kinds, first = [np.dtype(np.int32)] * len(counts) + [*DRAWS], len(counts)
        counts += rules, changes, changes, changes
        parts, at = list[Any](), HEAD.size
        for kind, count in zip(kinds, counts, strict=True):
            parts.append(np.frombuffer(data, kind, count, at))
            at += count * kind.itemsize
        parts[5] = parts[5].reshape(batch, pages)
        draws = StepDraws(*parts[first:]) if rules else None
        return cls(number, StepBatch(*parts[:first])._replace(draws=draws))

    def pieces(self, count: int) -> Iterator[Self]:
        """The plan as at most `count` plans of about as many tokens, to be run one after the other
        with the same results; a prefill may be cut in two. For pipeline stages, whose models draw
        nothing."""
        assert self.batch.draws is None
        tokens = len(self.batch.tokens)
        count = max(1, min(count, tokens // LEAST_PIECE))
        bounds = [tokens * i // count for i in range(count + 1)]
        for begin, end in pairwise(bounds):
            yield self._between(begin, end)

    def _between(self, begin: int, end: int) -> Self:
        """The part of the plan that computes these of its tokens."""
        batch, starts = self.batch, self.batch.query_starts
        first = int(np.searchsorted(starts, begin, "right")) - 1
        last = int(np.searchsorted(starts, end, "left"))
        inside = np.clip(starts[first : last + 1], begin, end) - np.int32(begin)
        after = np.maximum(starts[first + 1 : last + 1] - np.int32(end), 0)
        wanted = batch.rows[(batch.rows >= begin) & (batch.rows < end)] - np.int32(begin)
        piece = StepBatch(
            batch.tokens[begin:end],
            batch.positions[begin:end],
            batch.slots[begin:end],
            inside,
            batch.kv_lengths[first:last] - after,
            batch.page_table[first:last],
            wanted,
        )
        return type(self)(self.number, piece)


class Computed(Protocol):
    """What a plan is laid out from: a sequence, or a branch of one."""

    @property
    def tokens(self) -> abc.Sequence[int]: ...
    @property
    def draft(self) -> list[int]: ...
    @property
    def pages(self) -> abc.Sequence[int]: ...
    @property
    def computed(self) -> int: ...


def make_plan(
    number: int, batch: abc.Sequence[tuple[Computed, int, int]], draws: StepDraws | None = None
) -> StepPlan:
    """Lay out a step for these sequences, whose pages suffice. Their rows lie in the order of the
    batch, those of one in the order of its tokens; `draws` is of these rows.

    Nothing runs meanwhile, so this is laid out by appending: a call of numpy costs more than all
    that a decode needs.
    """
    tokens, positions, slots, table = ints(), ints(), ints(), ints()
    starts, lengths, rows = ints([0]), ints(), ints()
    padding = ints([0]) * max(len(one.pages) for one, _, _ in batch)
    for one, count, wanted in batch:
        pages, computed = one.pages, range(one.computed, one.computed + count)
        tokens.extend(one.tokens[computed.start : computed.stop])
        if computed.stop > len(one.tokens):
            tokens.extend(one.draft[: computed.stop - len(one.tokens)])
        positions.extend(computed)
        slots.extend([pages[at // PAGE_SIZE] * PAGE_SIZE + at % PAGE_SIZE for at in computed])
        starts.append(len(tokens))
        lengths.append(computed.stop)
        table.extend(pages)
        table += padding[len(pages) :]
        if wanted == 1:
            rows.append(len(tokens) - 1)
        else:
            rows.extend(range(len(tokens) - wanted, len(tokens)))
    laid_out = StepBatch(
        np.asarray(tokens),
        np.asarray(positions),
        np.asarray(slots),
        np.asarray(starts),
        np.asarray(lengths),
        np.asarray(table).reshape(len(batch), -1),
        np.asarray(rows),
        draws,
    )
    return StepPlan(number, laid_out)
