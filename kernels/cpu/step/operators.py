"""The fused operators of a decoder around its blocks: embedding and projections.

Each is one region of the work queue.
"""

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.program import SLICES
from raylax.kernels.cpu.step.norms import Norms
from raylax.kernels.cpu.step.pages import begin_values
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    fma,
    lanes,
    splat,
)
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.cpu.tir.exchange import Meeting
from raylax.kernels.shards import PANEL


class Operators(Norms):
    """All operators but norms and the blocks: attention (`attend.py`), MLP (`mlp.py`) and head
    (`head.py`)."""

    def embed(self, out: str = "x") -> None:
        """Rows of the embedding, in the first stage; the others are given theirs."""
        rows = T.Select(self.place["first_layer"] == 0, self.tokens, 0)
        with self.queue.region("embed", rows) as row:
            token = T.Bind(self.b["ids"][row])

            def store(d: Expr, value: Expr) -> None:
                self.b[out].store(self._meant(value, row, d), row, d)

            fmt = self.format_of("w_embed")
            fmt.gather(self.b["w_embed"], token, self.spec.hidden, store)

    def _meant(self, value: Expr, row: Expr, at: Expr) -> Expr:
        """An embedding as the model takes it: scaled, and with that of its position."""
        if self.spec.embed_scale != 1:
            value = value * T.float32(self.spec.embed_scale)
        if not self.spec.learned_positions:
            return value
        return value + self.b["w_position"][T.Bind(self.b["positions"][row]), at]

    def tap(self, name: str, layer: Expr) -> None:
        """Keeps `x` as it comes to a layer, if that is wanted."""
        hidden, at = self.spec.hidden, T.Bind(self.b["tap_at"][layer])
        rows = T.Select(at < 0, 0, self.tokens)
        with self.queue.region(name, rows) as row, T.serial(0, hidden // 16) as j:
            value = self.b["x"][row, lanes(j * 16)]
            self.b["taps"].store(value, row, lanes(at * hidden + j * 16))

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
                if s.qk_norm != "whole":
                    with T.If(head < s.heads + s.kv_heads), T.Then():
                        if s.qk_norm:
                            self.normalise_head(values, head >= s.heads)
                        self.rotate(values, T.Bind(b["positions"][row]))
                slot = T.Bind(b["slots"][row])
                with T.If(head < s.heads):
                    with T.Then():
                        for j, value in enumerate(values):
                            b["q"].store(value.get(), row, lanes(head * s.head_dim + j * 16))
                    with T.Else(), T.If(head < s.heads + s.kv_heads):
                        with T.Then():
                            key = head - s.heads
                            if s.qk_norm == "whole":
                                for j, value in enumerate(values):
                                    at = lanes(key * s.head_dim + j * 16)
                                    b["k"].store(value.get(), row, at)
                            else:
                                self.pages.append_key(b["pages"], slot, key, s.head_dim, values)
                        with T.Else():
                            at = slot, head - s.heads - s.kv_heads, s.head_dim
                            begin_values(self.pages, b["pages"], *at)
                            self.pages.append_value(b["pages"], *at, values)

    def norm_qk(self) -> None:
        """The norm of all heads of a row's queries, or keys, at once; then they are rotated."""
        s, b = self.spec, self.b
        parts = ("q", s.heads, 0), ("k", s.kv_heads, s.heads * s.head_dim)
        with self.queue.region("norm_qk", self.tokens) as row:
            position, slot = T.Bind(b["positions"][row]), T.Bind(b["slots"][row])
            for name, heads, first in parts:
                inverse = self.inverse_of_heads(name, row, heads)
                with T.serial(0, heads) as head:
                    at = [lanes(head * s.head_dim + j * 16) for j in range(s.head_dim // 16)]
                    values = [Register(b[name][row, a] * splat(inverse.get())) for a in at]
                    for j, value in enumerate(values):
                        of = lanes(first + head * s.head_dim + j * 16)
                        value.set(value.get() * b["norm_qk"][of])
                    self.rotate(values, position)
                    if name == "k":
                        self.pages.append_key(b["pages"], slot, head, s.head_dim, values)
                    else:
                        for a, value in zip(at, values, strict=True):
                            b["q"].store(value.get(), row, a)

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
        self, name: str, source: str, k: int, first: Expr, number: Expr, bias: str | None = None,
        weight: str = "", beside: str = "",
    ) -> None:  # fmt: skip
        """x += source @ weight^T (+ bias), perhaps behind a norm; usually w_name. Of several
        shards each has a part of every sum: they meet, and all add all parts in the same order.
        `beside`: what else each of these adds to its part."""
        meeting = self.meeting(number)
        with (
            self.queue.region(name, self.spec.hidden // PANEL) as panel,
            T.serial(0, self.tiles) as tile,
        ):
            first = first if meeting else 0
            out = self.product(source, k, tile, weight or f"w_{name}", [panel], first)
            with self.rows_of(tile) as (m, row):
                for half in range(2):
                    at = lanes(panel * PANEL + half * 16)
                    part = out[lanes(m * PANEL + half * 16)]
                    if meeting:
                        part = part + self.b[beside][row, at] if beside else part
                        self.give_part(meeting, row, at, part)
                    else:
                        self._give(row, at, part, bias)
        if meeting:
            self.add_parts(name, meeting, bias)
        if self.spec.norm_after:
            self.add_normed(f"norm_{name}")

    def meeting(self, number: Expr) -> Meeting | None:
        """That of the shards with this number in the launch; None: there is one shard alone."""
        return self.exchange.meeting(number) if self.exchange else None

    def give_part(self, meeting: Meeting, row: Expr, at: Expr, part: Expr) -> None:
        """This shard's part of a sum, before all meet."""
        self.b["slices"].store(part, meeting.turn, self.place["shard"], row, at)

    def add_parts(self, name: str, meeting: Meeting, bias: str | None = None) -> None:
        """Meets, and adds the parts of all shards to the residual stream."""
        assert self.exchange is not None
        self.exchange.meet(meeting, SLICES)
        slices, shards = self.b["slices"], self.exchange.shards
        with (
            self.queue.region(f"add_{name}", self.tokens) as row,
            T.serial(0, self.spec.hidden // 16) as j,
        ):
            total = Register(slices[meeting.turn, 0, row, lanes(j * 16)])
            for shard in range(1, shards):
                total.set(total.get() + slices[meeting.turn, shard, row, lanes(j * 16)])
            self._give(row, lanes(j * 16), total.get(), bias)

    def _give(self, row: Expr, at: Expr, value: Expr, bias: str | None) -> None:
        """To the residual stream, or to the norm before it."""
        if bias:
            value = value + self.b[bias][at]
        if self.spec.norm_after:
            self.b["y"].store(value, row, at)
        else:
            self.add(row, at, value)
