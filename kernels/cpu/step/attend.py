"""The attention of a step: the work list as regions of the queue, results as activations."""

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.attention import Rows, Tile
from raylax.kernels.cpu.step.emitter import Emitter
from raylax.kernels.cpu.step.softmax import Partial
from raylax.kernels.cpu.step.worklist import KEYS, ROWS, WHOLE
from raylax.kernels.cpu.tir.activations import LOG2_E
from raylax.kernels.cpu.tir.emit import Expr, lanes
from raylax.kernels.shards import GROUP


@dataclass
class Attention:
    """The attention of one layer: queries in `q` meet the pages, what they find goes to `o`."""

    e: Emitter

    def __post_init__(self) -> None:
        self.spec, self.b = self.e.spec, self.e.b

    def emit(self) -> None:
        """One task per part of the work list and KV head, then one per row of what was split."""
        parts, splits = T.Bind(self.b["sizes"][1]), T.Bind(self.b["sizes"][2])
        self._parts(parts)
        with T.If(splits > 0), T.Then():
            self._merge(splits)
        self.e.close_rows("round_o", "o", self.spec.heads * self.spec.head_dim)

    def _parts(self, count: Expr) -> None:
        s, b = self.spec, self.b
        with self.e.queue.dealt("attention", count * s.kv_heads) as task:
            part, head = T.floordiv(task, s.kv_heads), T.floormod(task, s.kv_heads)
            sequence, first, begin, end, slot = (T.Bind(b["parts"][part, i]) for i in range(5))
            rows = self._rows(sequence, first)
            tile = self._tile(rows, sequence, head)
            total = Partial(ROWS, s.head_dim, rows.used)
            total.clear()
            if s.local and not s.sinks:  # blocks that are out of sight of all rows weigh nothing
                seen = T.floordiv(T.max(rows.limit(0) - self.e.window, 0), KEYS)
                begin = T.Bind(T.Select(slot == WHOLE, T.max(begin, T.min(seen, end - 1)), begin))
            with tile.blocks(begin, end) as (number, block), T.If(slot == WHOLE):
                with T.Then():
                    total.merge(block)
                with T.Else():
                    block.keep(b["partials"], self._kept_at(slot + number, head))
            with T.If(slot == WHOLE), T.Then(), T.serial(0, rows.used) as row:
                self._store(rows, row, head, total, row)

    def _merge(self, splits: Expr) -> None:
        s, b = self.spec, self.b
        with self.e.queue.region("merge", splits * s.kv_heads * ROWS) as task:
            row, pair = T.floormod(task, ROWS), T.floordiv(task, ROWS)
            split, head = T.floordiv(pair, s.kv_heads), T.floormod(pair, s.kv_heads)
            sequence, first, count, slot = (T.Bind(b["splits"][split, i]) for i in range(4))
            rows = self._rows(sequence, first)
            with T.If(row < rows.used), T.Then():
                total, block = Partial(1, s.head_dim, 1), Partial(1, s.head_dim, 1)
                total.clear()
                with T.serial(0, count) as number:
                    block.recall(b["partials"], self._kept_at(slot + number, head) + row)
                    total.merge(block)
                self._store(rows, row, head, total, 0)

    def _rows(self, sequence: Expr, first: Expr) -> Rows:
        start = T.Bind(self.b["query_starts"][sequence])
        count = T.Bind(self.b["query_starts"][sequence + 1] - start)
        before = T.Bind(self.b["kv_lengths"][sequence] - count)
        return Rows(first, self.spec.queries_per_kv_head, start, count, before)

    def _tile(self, rows: Rows, sequence: Expr, head: Expr) -> Tile:
        s, dim = self.spec, self.spec.head_dim

        def query(row: int, j: int) -> Expr:
            query_head = head * rows.group + rows.query_head(row)
            return self.b["q"][rows.token(row), lanes(query_head * dim + j * 16)]

        def page_id(index: Expr) -> Expr:
            return self.b["page_table"][sequence, index]

        pages, registers = self.b["pages"], self.e.registers
        sizes = self.b["sizes"]
        window = T.Bind(sizes[3]) if s.window else None
        sinks = T.Bind(sizes[4]) if s.sinks else None
        if s.local:
            window = self.e.window
        where = self.e.pages, registers, pages, head, dim
        return Tile(*where, s.score_scale, s.softcap, window, sinks, query, rows, page_id)

    def _kept_at(self, slot: Expr, head: Expr) -> Expr:
        return (slot * self.spec.kv_heads + head) * ROWS

    def _store(self, rows: Rows, row: Expr, head: Expr, total: Partial, at: Expr) -> None:
        """Stores a row of a tile, from row `at` of what its keys came to."""
        dim = self.spec.head_dim
        token = T.Bind(rows.token(row))
        query_head = T.Bind(head * rows.group + rows.query_head(row))
        if self.spec.learned_sinks:
            first = self.e.place["first_head"] if self.e.sharded else 0
            total.see_sink(at, self.b["sinks"][first + query_head] * T.float32(LOG2_E))
        vectors = total.normalised(at)
        for g in range(dim // GROUP):
            group = query_head * (dim // GROUP) + g
            pair = vectors[2 * g : 2 * g + 2]
            self.e.store_group("o", self.spec.heads * dim, token, group, pair)
