"""The MLP of a layer, gated or not: two regions, and one more where a format rounds whole rows."""

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.activations import activated
from raylax.kernels.cpu.tir.emit import Expr, Register, lanes, splat
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.shards import GROUP, PANEL


@dataclass
class MLP:
    """The MLP of one layer: what is in `m` goes through `h`, and is added to `x`. `dense`: that of
    a layer which has it instead of experts, from `dm` through `dh`."""

    e: Operators
    dense: bool = False

    def __post_init__(self) -> None:
        self.spec, self.place = self.e.spec, self.e.place
        self.source, self.units, self.up, self.down = "m", "h", "w_gate_up", "w_down"
        self.width, experts = self.spec.intermediate, self.spec.experts
        self.gate_of_all = experts is not None and experts.shared_gate
        self.beside, self.group = "mixed" if experts and self.e.sharded else "", "group"
        if self.dense and experts:
            self.source, self.units, self.up, self.down = "dm", "dh", "w_dense_up", "w_dense_down"
            self.width, self.gate_of_all = experts.dense_intermediate, False
            self.beside, self.group = "", "dense_group"

    def emit(self, meeting: Expr) -> None:
        """`meeting`: the number, in this launch, of the meeting of the shards after it."""
        self._gate_up()
        first = self.place[f"first_{self.group}"] * GROUP
        bias = "b_down" if self.spec.mlp_bias else None
        self.e.project("down", self.units, self.width, first, meeting, bias, self.down, self.beside)

    def _gate_up(self) -> None:
        """activated(gate) * up of 32 columns; a panel holds 16 columns of each. Without gates it
        holds 32 columns of activated(up)."""
        s, e = self.spec, self.e
        groups, width = self.width // GROUP, PANEL * (2 if s.gated else 1)
        with e.queue.region("gate_up", groups) as g, T.serial(0, e.tiles) as tile:
            group = T.Bind(g + self.place[f"first_{self.group}"]) if e.sharded else g
            panels = [group * 2, group * 2 + 1] if s.gated else [group]
            out = e.product(self.source, s.hidden, tile, self.up, panels)
            with e.rows_of(tile) as (m, row):
                pair = []
                for p in range(2):
                    at = p * PANEL if s.gated else p * 16
                    parts = [Register(out[lanes(m * width + at)])]
                    if s.gated:
                        parts.append(Register(out[lanes(m * width + at + 16)]))
                    if s.mlp_bias:
                        for i, value in enumerate(parts):
                            bias = e.b["b_gate_up"][lanes(group * width + at + i * 16)]
                            value.set(value.get() + bias)
                    gated = activated(s.activation, parts[0].get())
                    unit = Register(gated * parts[1].get() if s.gated else gated)
                    if self.gate_of_all:
                        unit.set(unit.get() * splat(e.b["gates"][row]))
                    if e.sharded:
                        unit.set(T.Select(self._is_own(group), unit.get(), constant(0)))
                    pair.append(unit)
                e.store_group(self.units, self.width, row, g, pair)
        e.close_rows("round_h", self.units, self.width)

    def _is_own(self, group: Expr) -> Expr:
        """Whether a group of the MLP counts on this rank."""
        own, end = (self.place[f"{which}_{self.group}"] for which in ("own", "end"))
        return splat(T.bitwise_and(group >= own, group < end))
