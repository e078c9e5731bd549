"""Ragged batches of attention on the interpreter, and what they must come to."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.pages import FORMATS, KV, PageLayout, decoded
from raylax.kernels.cuda.step.work_list import Division, WorkList
from tests.support.cuda_interpreter import launch
from tests.support.cuda_pages import encoded, narrow, wide

from raylax.kernels.cuda.source import attention  # isort: skip

Array = npt.NDArray[Any]
PAGE, SPLIT, BLOCK, MOST = 16, 32, 16, 128
LOG2_E = 1.4426950408889634


@dataclass
class Model:
    """What attention is made for."""

    heads: int = 2
    kv_heads: int = 1
    dim: int = 16
    kv: KV = "plain"
    kind: Any = np.uint16
    window: int = 0
    """But for the sinks, as the kernel has it."""
    sinks: int = 0
    softcap: float = 0.0
    learned: bool = False

    @property
    def group(self) -> int:
        return self.heads // self.kv_heads

    @property
    def scores(self) -> Array | None:
        """Without a value, of each head."""
        heads = np.linspace(-2, 3, self.heads, dtype=np.float32)
        return heads if self.learned else None

    def sequence(self, number: int) -> tuple[Array, Array]:
        """Queries [MOST, heads, dim] and keys and values [2, MOST, kv heads, dim], float32: a
        sequence is the same in every batch."""
        rng = np.random.default_rng(1000 + number)
        q = rng.standard_normal((MOST, self.heads, self.dim), np.float32)
        kv = rng.standard_normal((2, MOST, self.kv_heads, self.dim), np.float32)
        return wide(narrow(q, self.kind)), kv


class Batch:
    """Sequences with new tokens after old ones, in pages that lie anywhere; what no token was
    written to is NaN."""

    out: Any = np.float32
    """Of what attention gives; float32 hides no bit."""

    block = BLOCK
    """Keys of a tile."""

    def __init__(
        self, model: Model, lengths: list[int], before: list[int], stale: float = np.nan
    ) -> None:
        self.model, self.lengths, self.before = model, lengths, before
        self.starts = np.array([0, *np.cumsum(lengths)], np.int32)
        self.totals = np.array(before, np.int32) + np.array(lengths, np.int32)
        width = -(-int(self.totals.max()) // PAGE)
        count = width * len(lengths) + 1
        order = np.random.default_rng(0).permutation(count - 1).astype(np.int32)
        self.tables = order.reshape(len(lengths), width)
        self.dead_page = count - 1
        layout = PageLayout(1, model.kv_heads, model.dim, model.kv)
        self.scales = np.full(layout.scales(count), stale, np.float32)
        self.pages = np.full(layout.codes(count), 127, np.int8)
        if not layout.has_scales:
            self.pages = narrow(np.full(self.pages.shape, stale, np.float32), model.kind)
        self.q = np.zeros((int(self.starts[-1]), model.heads, model.dim), model.kind)
        self.keys = [self._place(i) for i in range(len(lengths))]

    def _place(self, i: int) -> Array:
        """Put a sequence into q and pages: its keys and values as they then are."""
        model, total = self.model, int(self.totals[i])
        q, kv = model.sequence(i)
        new = slice(int(self.starts[i]), int(self.starts[i + 1]))
        self.q[new] = narrow(q[total - self.lengths[i] : total], model.kind)
        kv = kv[:, :total]
        at = np.arange(total)
        page, offset = self.tables[i, at // PAGE], at % PAGE
        if model.kv == "plain":
            self.pages[page, :, :, offset] = narrow(kv, model.kind).swapaxes(0, 1)
            return wide(narrow(kv, model.kind))
        codes, scales = encoded(kv, model.kv)
        self.pages[page, :, :, offset] = codes.swapaxes(0, 1)
        self.scales[page, :, :, offset] = scales.swapaxes(0, 1)
        return decoded(codes, model.kv) * scales[..., None]

    def work(self, tile: int, places: int) -> WorkList:
        """`places`: 0 to divide no tile."""
        model = self.model
        seen = model.window, model.sinks
        division = Division(
            model.group, model.kv_heads, max(places, 1), 1000 * places, *seen, SPLIT
        )
        return division.work_list(self.starts, self.totals, tile)

    def run(self, tile: int = 8, places: int = 0, idle: int = 0) -> Array:
        """NaN where nothing was written."""
        work = self.work(tile, places)
        items = np.zeros((len(work.items) + idle, 8), np.int32)
        rows = np.zeros((len(work.rows) + idle, 4), np.int32)
        work.write(items, rows)
        return self.launch(tile, items, rows, work.slots)

    def launch(self, tile: int, items: Array, rows: Array, slots: int) -> Array:
        model = self.model
        out = narrow(np.full(self.q.shape, np.nan, np.float32), self.out)
        partial = np.full((max(slots, 1), model.kv_heads, tile, model.dim), np.nan, np.float32)
        summary = np.full((max(slots, 1), model.kv_heads, 2, tile), np.nan, np.float32)
        sizes = {"HEADS": model.heads, "KV_HEADS": model.kv_heads, "D": model.dim}
        scores = None if model.scores is None else model.scores * np.float32(LOG2_E)
        launch(
            attention.attend,
            (len(items), model.kv_heads),
            q=self.q,
            pages=self.pages,
            scales=self.scales,
            tables=self.tables,
            items=items,
            out=out,
            partial=partial,
            summary=summary,
            learned=scores,
            scale=model.dim**-0.5 * LOG2_E,
            softcap=model.softcap * LOG2_E,
            window=model.window,
            sinks=model.sinks,
            table_width=self.tables.shape[1],
            BQ=tile,
            BK=self.block,
            SPLIT=SPLIT,
            PAGE=PAGE,
            KV=FORMATS[model.kv],
            WINDOW=model.window > 0,
            SINKS=model.sinks > 0,
            SOFTCAP=model.softcap > 0,
            LEARNED=model.learned,
            **sizes,
        )
        if len(rows):
            launch(
                attention.combine,
                (len(rows), model.heads),
                partial=partial,
                summary=summary,
                learned=scores,
                rows=rows,
                out=out,
                tile=tile,
                LEARNED=model.learned,
                **sizes,
            )
        return out

    def expected(self) -> Array:
        """In float64, of the keys and values that pages hold."""
        model, out = self.model, []
        for i, kv in enumerate(self.keys):
            k, v = kv.astype(float).repeat(model.group, axis=2)
            q = wide(self.q[self.starts[i] : self.starts[i + 1]]).astype(float)
            score = np.einsum("qhd,khd->hqk", q, k) * model.dim**-0.5
            if model.softcap:
                score = model.softcap * np.tanh(score / model.softcap)
            at, key = self.before[i] + np.arange(len(q))[:, None], np.arange(len(k))
            far = (key <= at - (model.window or MOST)) & (key >= model.sinks)
            hidden = (key > at) | far
            weight = np.where(hidden, 0, np.exp(score))
            total = weight.sum(-1, keepdims=True)
            if model.scores is not None:
                total = total + np.exp(model.scores.astype(float))[:, None, None]
            weight /= total
            out.append(np.einsum("hqk,khd->qhd", weight, v))
        return np.concatenate(out)


@dataclass
class Way:
    """One of the ways in which a sequence of tokens can be computed."""

    tile: int
    places: int
    chunks: list[int] = field(default_factory=list)
    """New tokens of each step."""

    def run(self, model: Model) -> Array:
        """Of sequence 0, all its tokens."""
        done, out = 0, []
        for chunk in self.chunks:
            out.append(Batch(copy.copy(model), [chunk], [done]).run(self.tile, self.places))
            done += chunk
        return np.concatenate(out)
