"""Paged attention: one tile of query rows against keys of one sequence and KV head.

Decodes, prefill chunks and everything between are tiles of 8 rows, a row being one query head of
one new token. Keys are walked in blocks of 16 pages counted from key 0 of the sequence; a block is
reduced on its own and merged in block order. So a row has the same bits whatever shares its tile,
how the prompt was cut, where its pages lie and which threads reduced which blocks (law 1). Masked
keys weigh exactly 0, and slots past the end of a sequence hold values of 0 (`begin_values`).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.pages import INT8Pages, Pages
from raylax.kernels.cpu.step.softmax import LEAST, MASKED, Partial
from raylax.kernels.cpu.step.worklist import KEYS, ROWS
from raylax.kernels.cpu.tir.activations import LOG2_E, tanh
from raylax.kernels.cpu.tir.dot import Block, Sums, blocks
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    exp2,
    f32,
    intrinsic,
    lanes,
    prefetch,
    scratch,
    splat,
)
from raylax.kernels.options import PAGE_SIZE

BLOCK = KEYS // PAGE_SIZE  # pages
AHEAD = 2  # pages to prefetch: they lie anywhere, the hardware cannot guess the next


@dataclass
class Rows:
    """The rows of a tile: those of a sequence's new tokens from `first` on.

    A token has `group` rows, one for each query head of the KV head. The first `used` of the 8 are
    computed; those past the end that come along in a block of registers repeat the last one.
    """

    first: Expr
    group: int
    start: Expr
    """The sequence's first new token in the step."""
    count: Expr
    """How many new tokens it has."""
    before: Expr
    """How many keys it has before those."""

    def __post_init__(self) -> None:
        self.used = T.Bind(T.min(self.count * self.group - self.first, ROWS))

    def token(self, row: Expr) -> Expr:
        """The number, in the step, of the row's token."""
        return self.start + T.floordiv(self._at(row), self.group)

    def query_head(self, row: Expr) -> Expr:
        """The number of the row's query head in its group."""
        return T.floormod(self._at(row), self.group)

    def limit(self, row: Expr) -> Expr:
        """How many keys the row sees, from key 0."""
        return self.before + T.floordiv(self._at(row), self.group) + 1

    def _at(self, row: Expr) -> Expr:
        return self.first + T.min(row, self.used - 1)


@dataclass
class Tile:
    """Where a tile finds its queries and keys. Callables emit the expression that they return."""

    layout: Pages
    registers: int
    """Vectors that the CPU has registers for, see `blocks`."""
    pages: Any
    head: Expr
    dim: int
    scale: float
    """What scores are multiplied by."""
    softcap: float
    """As in the spec."""
    window: Expr | None
    """Keys that a row sees, as in the spec; None: all."""
    sinks: Expr | None
    """How many of those are the first ones; None: none."""
    query: Callable[[int, int], Expr]
    """(row, j) -> 16 floats of its query."""
    rows: Rows
    page_id: Callable[[Expr], Expr]

    def __post_init__(self) -> None:
        self.dot = self.layout.dot
        self.per, self.depth = self.dot.per, self.dot.depth
        self.scales = None  # of each token's key or value, where bytes need one
        if isinstance(self.layout, INT8Pages):
            self.scales = partial(self.layout.scales, self.dim)
        self.page_count = T.Bind(T.floordiv(self.rows.limit(ROWS - 1) + PAGE_SIZE - 1, PAGE_SIZE))
        self.scores = scratch(ROWS * BLOCK * PAGE_SIZE)
        self.q = scratch(ROWS * self.dim // self.per, self.dot.dtype)
        self.weights = scratch(ROWS * BLOCK * PAGE_SIZE // self.per, self.dot.dtype)
        self._load_queries()

    def _load_queries(self) -> None:
        """Queries scaled by log2(e), too: the softmax is one of powers of two."""
        scale = T.float32(LOG2_E * self.scale)
        for row in range(ROWS):
            for j in range(self.dim // 16):
                at = lanes((row * self.dim + j * 16) // self.per, 16 // self.per)
                scaled = Register(self.query(row, j) * splat(scale))
                T.buffer_store(self.q, self.dot.pack(scaled.get()), [at])

    @contextlib.contextmanager
    def blocks(self, begin: Expr, end: Expr) -> Iterator[tuple[Expr, Partial]]:
        """(number, what it comes to) of some blocks of keys, in a `with` like a loop."""
        block = Partial(ROWS, self.dim, self.rows.used)
        with T.serial(0, end - begin) as n:
            number = T.Bind(begin + n)
            self._block(number, block)
            yield number, block

    def _cut(self, columns: int) -> Iterator[Block]:
        """The tile in blocks of registers; those that hold no used row are left out."""
        for block in blocks(ROWS, columns, self.registers):
            if block.rows.start == 0:  # every tile has a first row
                yield block
            else:
                with T.If(block.rows.start < self.rows.used), T.Then():
                    yield block

    def _page(self, index: Expr) -> Expr:
        return T.Bind(self.page_id(T.min(index, self.page_count - 1)))

    def _block(self, number: Expr, out: Partial) -> None:
        first = T.Bind(number * BLOCK)
        count = T.Bind(T.min(self.page_count - first, BLOCK))
        pairs = T.Bind(T.floordiv(count + 1, 2))
        self._scores(first, pairs)
        self._weights(first, pairs, out)
        self._values(first, count, out)

    def _scores(self, first: Expr, pairs: Expr) -> None:
        """Scores of two pages at a time; a page past the end repeats the last one, fully masked."""
        with T.serial(0, pairs) as pair:
            at = [first + pair * 2 + r for r in range(2)]
            page = [self._page(i) for i in at]
            coming = [self._page(i + AHEAD) for i in at]
            for block in self._cut(2):
                sums = Sums(block, self.dot)
                with T.serial(0, self.dim // self.depth) as d:
                    if block.rows.start == 0:
                        for r in block.columns:
                            prefetch(self.pages[coming[r], 0, self.head, d * 16])

                    def keys(r: int, d: Expr = d) -> Expr:
                        return self.pages[page[r], 0, self.head, lanes(d * 16)]

                    def query(row: int, index: Expr) -> Expr:
                        return self.q[row * (self.dim // self.per) + index]

                    sums.add(d, keys, query)
                for row, r, total in sums:
                    found = Register(total)
                    if self.scales:
                        found.set(found.get() * self.scales(self.pages, page[r], 0, self.head))
                    if self.softcap:
                        cap = LOG2_E * self.softcap
                        share = Register(found.get() * f32(1 / cap))
                        found.set(f32(cap) * tanh(share.get()))
                    score = self._masked(found.get(), lanes(at[r] * PAGE_SIZE), row)
                    T.buffer_store(
                        self.scores, score, [lanes((row * BLOCK + pair * 2 + r) * PAGE_SIZE)]
                    )

    def _masked(self, score: Expr, keys: Expr, row: int) -> Expr:
        """The scores of the keys that a row sees. A block is masked as a whole where it sees none
        of it, and weighs nothing: so it changes no bit whether it is looked at."""
        limit = self.rows.limit(row)
        if self.window is not None:
            latest = self.window if self.sinks is None else self.window - self.sinks
            recent = T.Select(keys >= splat(limit - latest), score, f32(MASKED))
            if self.sinks is not None:
                recent = T.Select(keys < splat(self.sinks), score, recent)
            score = recent
        return T.Select(keys < splat(limit), score, f32(MASKED))

    def _weights(self, first: Expr, pairs: Expr, out: Partial) -> None:
        with T.serial(0, self.rows.used) as row:
            best, total = Register(f32(LEAST)), Register(f32(0))
            with T.serial(0, pairs * 2) as i:
                best.set(T.max(best.get(), self.scores[lanes((row * BLOCK + i) * PAGE_SIZE)]))
            top = intrinsic("float32", "llvm.vector.reduce.fmax", best.get())
            T.buffer_store(out.top, top, [row])
            with T.serial(0, pairs * 2) as i:
                score = self.scores[lanes((row * BLOCK + i) * PAGE_SIZE)]
                weight = Register(exp2(score - splat(out.top[row])))
                total.set(total.get() + weight.get())
                at = lanes((row * BLOCK + i) * PAGE_SIZE // self.per, PAGE_SIZE // self.per)
                if self.scales:
                    page = self._page(first + i)
                    weight.set(weight.get() * self.scales(self.pages, page, 1, self.head))
                T.buffer_store(self.weights, self.dot.pack(weight.get()), [at])
            T.buffer_store(out.sums, total.get(), [lanes(row * 16)])

    def _values(self, first: Expr, count: Expr, out: Partial) -> None:
        """Weighted sums of the values: all vectors of the head, in blocks whose sums stay in
        registers over all pages."""
        for block in self._cut(self.dim // 16):
            sums = Sums(block, self.dot)
            with T.serial(0, count) as i:
                page, coming = self._page(first + i), self._page(first + i + AHEAD)
                with T.serial(0, PAGE_SIZE // self.depth) as t:
                    if block.rows.start == 0:
                        for j in block.columns:
                            prefetch(self.pages[coming, 1, self.head, t * self.dim + j * 16])

                    def values(j: int, page: Expr = page, t: Expr = t) -> Expr:
                        return self.pages[page, 1, self.head, lanes(t * self.dim + j * 16)]

                    def weight(row: int, index: Expr, i: Expr = i) -> Expr:
                        return self.weights[(row * BLOCK + i) * (PAGE_SIZE // self.per) + index]

                    sums.add(t, values, weight)
            for row, j, total in sums:
                T.buffer_store(out.out, total, [lanes(row * self.dim + j * 16)])
