"""The output head: logits of the rows that are sampled, and the likeliest token of each."""

from dataclasses import dataclass
from functools import partial

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.program import LOGITS
from raylax.kernels.cpu.step.emitter import Emitter
from raylax.kernels.cpu.tir.activations import tanh
from raylax.kernels.cpu.tir.emit import Expr, Register, lanes
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.cpu.tir.largest import first_largest
from raylax.kernels.shards import PANEL


@dataclass
class Head:
    """What is in `f` becomes `logits`, and these `chosen`."""

    e: Emitter

    def __post_init__(self) -> None:
        self.spec, self.b, self.place = self.e.spec, self.e.b, self.e.place

    def emit(self) -> None:
        """The products, a meeting of the shards where there are several, and the choice."""
        self._logits()
        if self.e.exchange is not None:
            self.e.exchange.meet(self.e.exchange.meeting(T.int32(1)), LOGITS)
        self._argmax()

    def _logits(self) -> None:
        e = self.e
        panels = self.place["panels"] if e.sharded else self.spec.padded_vocab // PANEL
        with e.queue.region("head", panels) as i, T.serial(0, e.tiles) as tile:
            panel = T.Bind(i + self.place["first_panel"]) if e.sharded else i
            out = e.product("f", self.spec.hidden, tile, "w_head", [panel])
            with e.rows_of(tile) as (m, row):
                for half in range(2):
                    at = lanes(panel * PANEL + half * 16)
                    value = self._meant(out[lanes(m * PANEL + half * 16)], at)
                    self.b["logits"].store(value, row, at)

    def _meant(self, product: Expr, at: Expr) -> Expr:
        """The logits that products become: with their bias, scale and cap."""
        s = self.spec
        value = product + self.b["b_head"][at] if s.head_bias else product
        if s.logit_scale != 1:
            value = value * constant(s.logit_scale)
        if not s.logit_softcap:
            return value
        share = Register(value * constant(1 / s.logit_softcap))
        return constant(s.logit_softcap) * tanh(share.get())

    def _argmax(self) -> None:
        """The first index of the largest logit, the padding of the vocabulary left out; on the
        first shard, which samples."""
        e, vectors = self.e, self.spec.padded_vocab // 16
        rows = T.Select(self.place["shard"] == 0, e.tokens, 0) if e.sharded else e.tokens
        with e.queue.region("argmax", rows) as row:
            logits = partial(self._logit, row)
            _, first = first_largest(vectors, logits, self.spec.vocab)
            self.b["chosen"].store(first.get(), row)

    def _logit(self, row: Expr, at: Expr) -> Expr:
        return self.b["logits"][row, at]
