"""How the step of a draft head begins: what a token's feature is made of, and how it meets the
embedding of the next token (https://arxiv.org/abs/2401.15077, https://arxiv.org/abs/2503.01840).

Whoever runs a step puts the features of its tokens into `x` first.
"""

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.buffers import joined_columns
from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.emit import Expr, lanes
from raylax.kernels.shards import GROUP, PANEL


@dataclass
class Fusing:
    """Of one head."""

    e: Operators

    def __post_init__(self) -> None:
        fusion = self.e.spec.fusion
        assert fusion is not None
        self.b, self.fusion, self.hidden = self.e.b, fusion, self.e.spec.hidden
        self.columns = joined_columns(self.e.spec, fusion)

    def features(self) -> None:
        """What the base keeps of each token, in `tapped`, becomes the feature that the head takes:
        through its matrix, or behind the last norm of the base."""
        e = self.e
        if self.fusion.into == "attention":
            with e.queue.region("take", e.tokens) as row:
                with e.normed("tapped", row, None, self.columns) as (group, _, pair):
                    e.store_group("p", self.columns, row, group, pair)
                e.close_row("p", self.columns, row)
            self._fc(None)
            return
        with (
            e.queue.region("take", e.tokens) as row,
            e.normed("tapped", row, "norm_base", eps=self.fusion.base_eps) as (_, at, pair),
        ):
            for a, value in zip(at, pair, strict=True):
                self.b["x"].store(value.get(), row, a)

    def begin(self) -> None:
        """Embedding and feature become `a`, which attention reads, and the residual stream `x`."""
        e = self.e
        e.embed("e")
        if self.fusion.into == "attention":
            self._join("a")
            return
        self._join("p")
        self._fc("b_fc" if self.fusion.bias else None)
        weight = "norm_1" if "norm_1" in self.fusion.norms else None
        e.normalise(weight, "a", name="norm_1")

    def _join(self, out: str) -> None:
        """Both, each behind its norm if it has one, beside each other."""
        e, k = self.e, 2 * self.hidden
        parts = [("e", "norm_e"), ("x", "norm_h")]
        if self.fusion.feature_first:
            parts.reverse()
        with e.queue.region("join", e.tokens) as row:
            for number, (source, norm) in enumerate(parts):
                weight = norm if norm in self.fusion.norms else None
                first = number * (self.hidden // GROUP)
                with e.normed(source, row, weight) as (group, at, pair):
                    e.store_group(out, k, row, first + group, pair)
                    if source == "x" and self.fusion.normed_residual:
                        for a, value in zip(at, pair, strict=True):
                            self.b["x"].store(value.get(), row, a)
            e.close_row(out, k, row)

    def _fc(self, bias: str | None) -> None:
        """x = p @ w_fc^T (+ bias)."""
        e = self.e
        with e.queue.region("fc", self.hidden // PANEL) as panel, T.serial(0, e.tiles) as tile:
            out = e.product("p", self.columns, tile, "w_fc", [panel])
            with e.rows_of(tile) as (m, row):
                for half in range(2):
                    at = lanes(panel * PANEL + half * 16)
                    value: Expr = out[lanes(m * PANEL + half * 16)]
                    self.b["x"].store(value + self.b[bias][at] if bias else value, row, at)
