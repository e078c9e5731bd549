"""The fused operators of a decoder around its blocks: embedding, norms, projections.

Each is one region of the work queue.
"""

import contextlib
from collections.abc import Iterator

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.program import SLICES
from raylax.kernels.cpu.step.emitter import Emitter
from raylax.kernels.cpu.step.pages import begin_values
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    fma,
    intrinsic,
    lanes,
    splat,
)
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.shards import GROUP, PANEL


class Operators(Emitter):
    """All operators but the blocks: attention (`attend.py`), MLP (`mlp.py`) and head
    (`head.py`)."""

    def embed(self, out: str = "x") -> None:
        """Rows of the embedding, in the first stage; the others are given theirs."""
        rows = T.Select(self.place["first_layer"] == 0, self.tokens, 0)
        with self.queue.region("embed", rows) as row:
            token = T.Bind(self.b["ids"][row])
            store = lambda d, value: self.b[out].store(value, row, d)  # noqa: E731
            fmt = self.format_of("w_embed")
            fmt.gather(self.b["w_embed"], token, self.spec.hidden, store)

    def tap(self, name: str, layer: Expr) -> None:
        """Keeps `x` as it comes to a layer, if that is wanted."""
        hidden, at = self.spec.hidden, T.Bind(self.b["tap_at"][layer])
        rows = T.Select(at < 0, 0, self.tokens)
        with self.queue.region(name, rows) as row, T.serial(0, hidden // 16) as j:
            value = self.b["x"][row, lanes(j * 16)]
            self.b["taps"].store(value, row, lanes(at * hidden + j * 16))

    def normalise(
        self,
        weight: str | None,
        out: str,
        select: str | None = None,
        keep: str | None = None,
        name: str | None = None,
        source: str = "x",
    ) -> None:
        """RMS norm (https://arxiv.org/abs/1910.07467), stored as the next product reads it, and in
        f32 in `keep`. Without a weight nothing is done to what is stored. `name`: the operator's,
        where it is not the weight's."""
        hidden = self.spec.hidden
        with self.queue.region(name or weight or out, self.tokens) as i:
            row = T.Bind(self.b[select][i]) if select else i
            with self.normed(source, row, weight) as (group, at, pair):
                self.store_group(out, hidden, i, group, pair)
                if keep:
                    for a, value in zip(at, pair, strict=True):
                        self.b[keep].store(value.get(), i, a)
            self.close_row(out, hidden, i)

    @contextlib.contextmanager
    def normed(
        self,
        source: str,
        row: Expr,
        weight: str | None,
        columns: int | None = None,
        eps: float | None = None,
    ) -> Iterator[tuple[Expr, list[Expr], list[Register]]]:
        """(number, where its halves lie, these) of every 32 numbers of a row behind its norm, in a
        `with` like a loop. Without a weight they are as they were. `columns`: of the row, else
        `hidden`; `eps`: the norm's, where it is not the model's."""
        inverse = self._inverse(source, row, eps or self.spec.norm_eps) if weight else None
        with T.serial(0, (columns or self.spec.hidden) // GROUP) as group:
            at = [lanes(group * GROUP + half * 16) for half in range(2)]
            values = [self.b[source][row, a] for a in at]
            if weight and inverse:
                values = [value * splat(inverse.get()) for value in values]
                values = [v * self.b[weight][a] for v, a in zip(values, at, strict=True)]
            yield group, at, [Register(value) for value in values]

    def _inverse(self, source: str, row: Expr, eps: float) -> Register:
        """What a row is multiplied by: one by the root of its mean square."""
        total = Register(constant(0))
        with T.serial(0, self.spec.hidden // 16) as j:
            x = self.b[source][row, lanes(j * 16)]
            total.set(fma(x, x, total.get()))
        square = intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get())
        mean = fma(
            square,
            T.float32(1 / self.spec.own_hidden),
            T.float32(eps),
            "float32",
        )
        return Register(T.float32(1) / intrinsic("float32", "llvm.sqrt", mean), dtype="float32")

    def qkv(self) -> None:
        """Projection of one head, bias, rotary, and its place: queries, or the sequence's pages."""
        s, b = self.spec, self.b
        panels, vectors = s.head_dim // PANEL, s.head_dim // 16
        heads = s.heads + 2 * s.kv_heads
        with self.queue.region("qkv", heads) as head, T.serial(0, self.tiles) as tile:
            whole_head = T.Bind(self._head_of_all(head))
            columns = [whole_head * panels + p for p in range(panels)]
            out = self.product("a", s.qkv_columns, tile, "w_qkv", columns)
            with self.rows_of(tile) as (m, row):
                values = [Register(out[lanes(m * s.head_dim + j * 16)]) for j in range(vectors)]
                if s.qkv_bias:
                    for j, value in enumerate(values):
                        value.set(value.get() + b["b_qkv"][lanes(whole_head * s.head_dim + j * 16)])
                with T.If(head < s.heads + s.kv_heads), T.Then():
                    self.rotate(values, T.Bind(b["positions"][row]))
                slot = T.Bind(b["slots"][row])
                with T.If(head < s.heads):
                    with T.Then():
                        for j, value in enumerate(values):
                            b["q"].store(value.get(), row, lanes(head * s.head_dim + j * 16))
                    with T.Else(), T.If(head < s.heads + s.kv_heads):
                        with T.Then():
                            key = head - s.heads
                            self.pages.append_key(b["pages"], slot, key, s.head_dim, values)
                        with T.Else():
                            at = slot, head - s.heads - s.kv_heads, s.head_dim
                            begin_values(self.pages, b["pages"], *at)
                            self.pages.append_value(b["pages"], *at, values)

    def _head_of_all(self, head: Expr) -> Expr:
        """Where a head of this rank's queries, keys and values is in `w_qkv`."""
        s, whole = self.spec, self.whole
        if not self.sharded:
            return head
        first_kv = self.place["first_kv_head"]
        keys = whole.heads + first_kv - s.heads
        values = whole.heads + whole.kv_heads + first_kv - s.heads - s.kv_heads
        of_kv = T.Select(head < s.heads + s.kv_heads, keys, values)
        return head + T.Select(head < s.heads, self.place["first_head"], of_kv)

    def rotate(self, values: list[Register], position: Expr) -> None:
        """Rotary embedding of the two halves of a head (https://arxiv.org/abs/2104.09864)."""
        half = len(values) // 2
        for j in range(half):
            low, high = values[j].get(), values[j + half].get()
            cos, sin = (Register(self.b[n][position, lanes(j * 16)]) for n in ("cos", "sin"))
            rotated = Register(fma(constant(0) - high, sin.get(), low * cos.get()))
            values[j + half].set(fma(low, sin.get(), high * cos.get()))
            values[j].set(rotated.get())

    def project_o(self, meeting: Expr) -> None:
        """What attention found, projected and added to `x`."""
        k = self.spec.heads * self.spec.head_dim
        first = self.place["first_head"] * self.spec.head_dim
        self.project("o", "o", k, first, meeting, "b_o" if self.spec.output_bias else None)

    def project(
        self, name: str, source: str, k: int, first: Expr, number: Expr, bias: str | None = None
    ) -> None:
        """x += source @ w_name^T (+ bias). Of several shards each has a part of every sum: they
        meet, and all add all parts in the same order."""
        meeting = self.exchange.meeting(number) if self.exchange else None
        with (
            self.queue.region(name, self.spec.hidden // PANEL) as panel,
            T.serial(0, self.tiles) as tile,
        ):
            first = first if meeting else 0
            out = self.product(source, k, tile, f"w_{name}", [panel], first)
            with self.rows_of(tile) as (m, row):
                for half in range(2):
                    at = lanes(panel * PANEL + half * 16)
                    part = out[lanes(m * PANEL + half * 16)]
                    if meeting:
                        shard = self.place["shard"]
                        self.b["slices"].store(part, meeting.turn, shard, row, at)
                    else:
                        self._add(row, at, part, bias)
        if self.exchange and meeting:
            self.exchange.meet(meeting, SLICES)
            slices, shards = self.b["slices"], self.exchange.shards
            with (
                self.queue.region(f"add_{name}", self.tokens) as row,
                T.serial(0, self.spec.hidden // 16) as j,
            ):
                total = Register(slices[meeting.turn, 0, row, lanes(j * 16)])
                for shard in range(1, shards):
                    total.set(total.get() + slices[meeting.turn, shard, row, lanes(j * 16)])
                self._add(row, lanes(j * 16), total.get(), bias)

    def _add(self, row: Expr, at: Expr, value: Expr, bias: str | None) -> None:
        if bias:
            value = value + self.b[bias][at]
        self.b["x"].store(self.b["x"][row, at] + value, row, at)
