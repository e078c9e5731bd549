"""The gated MLP of a layer: two regions, and one more where a format rounds whole rows."""

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.emit import Expr, Register, lanes, silu, splat
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.shards import GROUP, PANEL


@dataclass
class MLP:
    """The MLP of one layer: what is in `m` goes through `h`, and is added to `x`."""

    e: Operators

    def __post_init__(self) -> None:
        self.spec, self.place = self.e.spec, self.e.place

    def emit(self, meeting: Expr) -> None:
        """`meeting`: the number, in this launch, of the meeting of the shards after it."""
        self._gate_up()
        first = self.place["first_group"] * GROUP
        bias = "b_down" if self.spec.mlp_bias else None
        self.e.project("down", "h", self.spec.intermediate, first, meeting, bias)

    def _gate_up(self) -> None:
        """silu(gate) * up of 32 columns; a panel holds 16 columns of each."""
        s, e = self.spec, self.e
        groups = s.intermediate // GROUP
        with e.queue.region("gate_up", groups) as g, T.serial(0, e.tiles) as tile:
            group = T.Bind(g + self.place["first_group"]) if e.sharded else g
            out = e.product("m", s.hidden, tile, "w_gate_up", [group * 2, group * 2 + 1])
            with e.rows_of(tile) as (m, row):
                pair = []
                for p in range(2):
                    at = m * 2 * PANEL + p * PANEL
                    gate, up = Register(out[lanes(at)]), Register(out[lanes(at + 16)])
                    if s.mlp_bias:
                        of = group * 2 * PANEL + p * PANEL
                        for value, first in ((gate, of), (up, of + 16)):
                            value.set(value.get() + e.b["b_gate_up"][lanes(first)])
                    gated = Register(silu(gate.get()) * up.get())
                    if e.sharded:
                        gated.set(T.Select(self._is_own(group), gated.get(), constant(0)))
                    pair.append(gated)
                e.store_group("h", s.intermediate, row, g, pair)
        e.close_rows("round_h", "h", s.intermediate)

    def _is_own(self, group: Expr) -> Expr:
        """Whether a group of the MLP counts on this rank."""
        own, end = self.place["own_group"], self.place["end_group"]
        return splat(T.bitwise_and(group >= own, group < end))
