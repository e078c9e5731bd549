"""Attention on the device: right, and a token's bits the same whatever the tile, the batch, the
chunks of its prompt and the division among programs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from machine import Array, Machine
from packing.carried import limited
from part import Part, hold

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.formats.base import narrowed, widened
from raylax.kernels.cuda.pages import PageLayout, decoded
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants import attention
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.options import PAGE_SIZE

LOG2_E = 1.4426950408889634
MOST_ERROR = 0.015
EVERYWHERE, NOWHERE = (10**6, 10**6), (1, 0)
"""Places and slots with which every split has a program of its own, and none has."""
WINDOW, SINKS, SOFTCAP = 200, 20, 30.0


def run(part: Part, machine: Machine) -> None:
    demo = machine.kit.demo
    sizes = demo.heads, demo.kv_heads, demo.head_dim
    shapes = [AttentionShape(*sizes, "bf16"), AttentionShape(*sizes, "bf16", "int8")]
    if not machine.small:
        big = machine.kit.timed
        shapes.insert(0, AttentionShape(big.heads, big.kv_heads, big.head_dim, "bf16"))
        shapes += [
            AttentionShape(*sizes, "bf16", "fp8"),
            *limited(demo),
            AttentionShape(*sizes, "f16"),
        ]
    for shape in shapes:
        part.check(f"attention {shape.name}", lambda shape=shape: right(machine, shape))
        machine.forget()


def right(machine: Machine, shape: AttentionShape) -> str:
    """Every tile, apart or not, against float64; a sequence whole, and in chunks."""
    ragged = (
        ([3, 1, 5], [70, 600, 0])
        if machine.small
        else ([1, 1, 300, 33, 1], [5000, 511, 0, 1000, 130])
    )
    batch = Sequences(machine, shape, *ragged)
    exact, seen, ways = batch.expected(), None, 0
    for tile in tiles(machine, shape):
        for places in (NOWHERE, EVERYWHERE):
            found = batch.run(tile, places)
            off = distance(batch.wide(found), exact)
            hold(off < MOST_ERROR, f"{tile.name} is off by {off:.1e}")
            seen = found if seen is None else seen
            hold(np.array_equal(found, seen), f"{tile.name}, {places[0]} places: other bits")
            ways += 1
    narrow = tiles(machine, shape)[0]
    for number in range(len(batch.lengths)):
        alone = batch.only(number).run(narrow, EVERYWHERE)
        hold(
            np.array_equal(alone, seen[batch.own(number)]),
            f"sequence {number} has other bits alone",
        )
    longest = int(np.argmax(batch.lengths))
    chunks = [one.run(narrow, NOWHERE) for one in batch.only(longest).halves()]
    hold(np.array_equal(np.concatenate(chunks), seen[batch.own(longest)]), "chunks have other bits")
    off = distance(batch.wide(seen), exact)
    return f"{ways} ways, alone and in chunks: equal bits; off by at most {off:.1e}"


def distance(found: Array, exact: Array) -> float:
    """The largest, of numbers that are rounded: relative, but for those below 1."""
    return float((np.abs(found - exact) / (1 + np.abs(exact))).max())


def tiles(machine: Machine, shape: AttentionShape) -> list[Any]:
    """Those that the kit has."""
    there = {variant.name for variant in machine.kit.variants}
    return [tile for tile in attention.attend(shape, machine.chip) if tile.name in there]


def as_a_step(machine: Machine, shape: AttentionShape) -> tuple[int, int]:
    """Places and slots as a step has them on this device."""
    narrowest = machine.kit.cubin(attention.attend(shape, machine.chip)[0]).facts
    return driver.multiprocessors(0) * narrowest.at_once(CHIPS[machine.chip]), EVERYWHERE[1]


@dataclass
class Sequences:
    """A ragged batch, its keys and values in pages that lie anywhere."""

    machine: Machine
    shape: AttentionShape
    lengths: list[int]
    """New tokens of each."""
    before: list[int]
    drawn: Any = None
    """Queries, page tables, pages and their scales; None: random ones."""
    at: Any = None
    """Where queries, pages, scales and tables lie; None: they are put there."""

    def __post_init__(self) -> None:
        self.tokens = sum(self.lengths)
        self.starts = np.cumsum([0, *self.lengths]).astype(np.int32)
        self.totals = np.array(self.before, np.int32) + np.array(self.lengths, np.int32)
        if self.drawn is None:
            self.drawn = self._draw()
        self.q, self.tables, self.pages, self.scales = self.drawn
        if self.at is None:
            arrays = self.q, self.pages, self.scales, self.tables
            self.at = [self.machine.put(one) for one in arrays]

    def _draw(self) -> tuple[Array, Array, Array, Array]:
        rng, shape = self.machine.rng, self.shape
        width = -(-int(self.totals.max()) // PAGE_SIZE)
        tables = rng.permutation(width * len(self.lengths)).astype(np.int32).reshape(-1, width)
        layout = PageLayout(1, shape.kv_heads, shape.dim, shape.kv)
        codes = rng.standard_normal(layout.codes(tables.size), np.float32)
        if layout.has_scales:
            pages = rng.integers(-120, 120, codes.shape).astype(np.int8)
            scales = rng.uniform(0.005, 0.01, layout.scales(tables.size)).astype(np.float32)
        else:
            pages, scales = self.narrow(codes), np.zeros(4, np.float32)
        q = self.narrow(rng.standard_normal((self.tokens, shape.heads, shape.dim), np.float32))
        return q, tables, pages, scales

    def narrow(self, values: Array) -> Array:
        return narrowed(values, self.shape.precision)

    def wide(self, halves: Array) -> Array:
        return widened(halves, self.shape.precision)

    def own(self, number: int) -> slice:
        """The rows of a sequence."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def only(self, number: int) -> "Sequences":
        """The same sequence in a batch of its own."""
        q = np.ascontiguousarray(self.q[self.own(number)])
        drawn = q, self.tables[number : number + 1].copy(), self.pages, self.scales
        return Sequences(
            self.machine, self.shape, [self.lengths[number]], [self.before[number]], drawn
        )

    def halves(self) -> "list[Sequences]":
        """A batch of one sequence as two chunks, the second after the first."""
        (length,), (before,) = self.lengths, self.before
        cut = length // 2
        parts = [(slice(0, cut), before), (slice(cut, length), before + cut)]
        return [
            Sequences(
                self.machine,
                self.shape,
                [len(range(length)[own])],
                [at],
                (self.q[own].copy(), *self.drawn[1:]),
            )
            for own, at in parts
            if len(range(length)[own])
        ]

    def launches(self, tile: Any, places: tuple[int, int]) -> tuple[list[Any], int]:
        """What they are, and where they write."""
        shape, machine = self.shape, self.machine
        window = WINDOW if shape.window else 0
        sinks = [SINKS] if shape.sinks else []
        learned = [machine.put(self.scores * np.float32(LOG2_E))] if shape.learned else []
        division = Division(shape.group, shape.kv_heads, *places, window, *sinks)
        work = division.work_list(self.starts, self.totals, tile.most)
        slots = max(1, work.slots)
        out = machine.room(self.q.nbytes)
        partial = machine.room(slots * shape.kv_heads * tile.most * shape.dim * 4)
        summary = machine.room(slots * shape.kv_heads * 2 * tile.most * 4)
        q, pages, scales, tables = self.at
        scale, cap = shape.dim**-0.5 * LOG2_E, SOFTCAP * LOG2_E if shape.softcap else 0.0
        made = [
            machine.kernel(tile).launch(
                (len(work.items), shape.kv_heads),
                *(q, pages, scales, tables, machine.put(work.items), out, partial, summary),
                *(*learned, scale, cap, window, *sinks, self.tables.shape[1]),
            )
        ]
        if len(work.rows):
            combine = machine.kernel(attention.combine(shape))
            rows = machine.put(work.rows)
            made.append(
                combine.launch(
                    (len(work.rows), shape.heads),
                    *(partial, summary, rows, out, *learned, tile.most),
                )
            )
        return made, out

    def run(self, tile: Any, places: tuple[int, int]) -> Array:
        """[tokens, heads, dim] in the model's precision, bf16 as its bits."""
        made, out = self.launches(tile, places)
        self.machine.run(*made)
        return self.machine.get(out, self.q.shape, self.q.dtype)

    @property
    def scores(self) -> Array:
        """Those that heads have without a value, if they have any."""
        return np.linspace(-2, 3, self.shape.heads, dtype=np.float32)

    def expected(self) -> Array:
        """In float64."""
        shape, out = self.shape, []
        for i in range(len(self.lengths)):
            table = self.tables[i, : -(-int(self.totals[i]) // PAGE_SIZE)]
            if shape.kv == "plain":
                kv = self.wide(self.pages[table])
            else:
                kv = decoded(self.pages[table], shape.kv) * self.scales[table][..., None]
            kv = kv.transpose(1, 2, 0, 3, 4).reshape(2, shape.kv_heads, -1, shape.dim)
            k, v = np.repeat(kv[:, :, : self.totals[i]].astype(float), shape.group, 1)
            q = self.wide(self.q[self.own(i)]).transpose(1, 0, 2).astype(float)
            score = q @ k.transpose(0, 2, 1) * shape.dim**-0.5
            if shape.softcap:
                score = SOFTCAP * np.tanh(score / SOFTCAP)
            at, key = (
                self.before[i] + np.arange(self.lengths[i])[:, None],
                np.arange(self.totals[i]),
            )
            hidden = key > at
            if shape.window:
                hidden |= (key <= at - WINDOW) & (key >= SINKS * shape.sinks)
            weight = np.where(hidden, 0, np.exp(score))
            total = weight.sum(-1, keepdims=True)
            if shape.learned:
                total = total + np.exp(self.scores.astype(float))[:, None, None]
            out.append((weight / total @ v).transpose(1, 0, 2))
        return np.concatenate(out)
