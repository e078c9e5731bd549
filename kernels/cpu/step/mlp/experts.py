"""A layer's experts: each token's router chooses some, which compute the tokens that chose them.

An expert's rows are laid into tiles of its own, in the order of their tokens, and what comes of
them is added up in the order in which a token's experts were chosen. So a row has the same bits
whatever shares its batch (law 1).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import RowFormat
from raylax.kernels.cpu.step.mlp.router import Router
from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.tir.activations import activated, at_least, at_most
from raylax.kernels.cpu.tir.emit import Expr, Register, fma, lanes, splat
from raylax.kernels.cpu.tir.emit import f32 as constant
from raylax.kernels.shards import GROUP, PANEL


@dataclass
class MixtureOfExperts:
    """The experts of one layer: what is in `n` goes through them, and is added to `x`."""

    e: Operators

    def __post_init__(self) -> None:
        assert self.e.spec.experts is not None
        self.experts, self.b, self.hidden = self.e.spec.experts, self.e.b, self.e.spec.hidden

    def emit(self, meeting: Expr) -> None:
        """All of it, in regions. `meeting`: the number, in this launch, of the meeting of the
        shards after it."""
        Router(self.e).emit()
        self._sort()
        self._scatter()
        self._up()
        self._down()
        self._combine(meeting)

    def _sort(self) -> None:
        """Where each row of each expert goes: a task, for it takes no time."""
        e, b, chosen = self.e, self.b, self.experts.chosen
        with e.queue.region("sort", T.int32(1)):
            with T.serial(0, self.experts.count) as expert:
                b["filled"].store(T.int32(0), expert)
            with T.serial(0, e.tokens) as row, T.serial(0, chosen) as k:
                expert = T.Bind(b["experts_of"][row, k])
                b["filled"].store(b["filled"][expert] + 1, expert)
            number, tile = Register(T.int32(0), "int32"), Register(T.int32(0), "int32")
            with T.serial(0, self.experts.count) as expert:
                rows = T.Bind(T.Select(self._is_own(expert), b["filled"][expert], 0))
                tiles = T.Bind(T.truncdiv(rows + (e.tile_rows - 1), e.tile_rows))
                b["filled"].store(tile.get() * e.tile_rows, expert)
                with T.If(rows > 0), T.Then():
                    for at, value in enumerate((expert, tile.get(), tiles)):
                        b["active"].store(value, number.get(), at)
                    number.set(number.get() + 1)
                    tile.set(tile.get() + tiles)
            b["counts"].store(number.get(), 0)
            b["counts"].store(tile.get(), 1)
            with T.serial(0, e.tokens) as row, T.serial(0, chosen) as k:
                expert = T.Bind(b["experts_of"][row, k])
                slot = b["filled"][expert]
                b["slots_of"].store(T.Select(self._is_own(expert), slot, -1), row, k)
                b["filled"].store(b["filled"][expert] + 1, expert)

    def _is_own(self, expert: Expr) -> Expr:
        """Whether an expert is this shard's."""
        if not self.e.sharded:
            return T.bool(True)
        first, end = self.e.place["first_expert"], self.e.place["end_expert"]
        return T.bitwise_and(expert >= first, expert < end)

    def _scatter(self) -> None:
        """Each row to its experts."""
        e, chosen = self.e, self.experts.chosen
        fmt, source = e.format_of("em"), self.b["n"]
        with e.queue.region("scatter", e.tokens * chosen) as task:
            row, k = T.truncdiv(task, chosen), T.truncmod(task, chosen)
            slot = T.Bind(self.b["slots_of"][row, k])
            with self._if_own(slot):
                tile, m = e.tile_of("em", self.hidden, slot)
                if isinstance(fmt, RowFormat):
                    fmt.store_row(tile, m, lambda at: source[row, at])
                    return
                with T.serial(0, self.hidden // GROUP) as group:
                    at = [lanes(group * GROUP + half * 16) for half in range(2)]
                    fmt.store_group(tile, m, group, [Register(source[row, a]) for a in at])

    @contextlib.contextmanager
    def _if_own(self, slot: Expr) -> Iterator[None]:
        """What is inside is left out where a token's row is in no slot of this shard."""
        if not self.e.sharded:
            yield
            return
        with T.If(slot >= 0), T.Then():
            yield

    def _active(self, task: Expr, width: int) -> tuple[Expr, Expr, Expr, Expr]:
        """Expert, first tile, tiles, and which part of the expert's columns, of a task."""
        number, part = T.truncdiv(task, width), T.truncmod(task, width)
        expert, tile, tiles = (T.Bind(self.b["active"][number, at]) for at in range(3))
        return expert, tile, tiles, part

    def _count(self, at: int) -> Expr:
        """Of experts that have rows (0), or of all their tiles (1). Each layer has its own: a
        worker may come to a region when others have left it, and waits for as many tasks."""
        return T.Bind(self.b["counts"][at])

    def _up(self) -> None:
        e, units = self.e, self.experts.intermediate
        groups = units // GROUP
        with e.queue.region("experts_up", self._count(0) * groups) as task:
            expert, first, tiles, group = self._active(task, groups)
            with T.serial(0, tiles) as number:
                tile = T.Bind(first + number)
                panels = [group * 2, group * 2 + 1]
                out = e.product("em", self.hidden, tile, "w_experts_up", panels, expert=expert)
                with T.serial(0, e.tile_rows) as m:
                    pair = []
                    for p in range(2):
                        at = m * 2 * PANEL + p * PANEL
                        gate, up = Register(out[lanes(at)]), Register(out[lanes(at + 16)])
                        if self.experts.bias:
                            for i, part in enumerate((gate, up)):
                                of = lanes((group * 2 + p) * PANEL + i * 16)
                                bias = self.b["b_experts_up"].at(expert)[of]
                                part.set(part.get() + bias)
                        pair.append(Register(self._unit(gate, up)))
                    e.store_group("eh", units, tile * e.tile_rows + m, group, pair)
        if isinstance(e.format_of("eh"), RowFormat):
            with e.queue.region("round_eh", self._count(1) * e.tile_rows) as slot:
                e.close_row("eh", units, slot)

    def _unit(self, gate: Register, up: Register) -> Expr:
        """What a gated unit comes to."""
        s, limit = self.experts, self.experts.limit
        if limit:
            gate.set(at_most(gate.get(), limit))
            up.set(at_least(at_most(up.get(), limit), -limit))
        if s.up_offset:
            up.set(up.get() + constant(s.up_offset))
        return activated(self.e.spec.activation, gate.get(), s.slope) * up.get()

    def _down(self) -> None:
        e, width = self.e, self.hidden // PANEL
        with e.queue.region("experts_down", self._count(0) * width) as task:
            expert, first, tiles, panel = self._active(task, width)
            with T.serial(0, tiles) as number:
                tile = T.Bind(first + number)
                units = self.experts.intermediate
                out = e.product("eh", units, tile, "w_experts_down", [panel], expert=expert)
                with T.serial(0, e.tile_rows) as m:
                    for half in range(2):
                        at = lanes(panel * PANEL + half * 16)
                        value = out[lanes(m * PANEL + half * 16)]
                        if self.experts.bias:
                            value = value + self.b["b_experts_down"].at(expert)[at]
                        self.b["ey"].store(value, tile * e.tile_rows + m, at)

    def _combine(self, number: Expr) -> None:
        """What a token's experts came to, each as far as it counts. Of several shards each adds up
        what its own experts have."""
        e, b = self.e, self.b
        beside = bool(e.spec.intermediate)
        meeting = None if beside else e.meeting(number)
        with e.queue.region("combine", e.tokens) as row, T.serial(0, self.hidden // 16) as j:
            at, total = lanes(j * 16), Register(constant(0))
            with T.serial(0, self.experts.chosen) as k:
                slot = T.Bind(b["slots_of"][row, k])
                with self._if_own(slot):
                    share = splat(b["shares"][row, k])
                    total.set(fma(share, b["ey"][slot, at], total.get()))
            if meeting:
                e.give_part(meeting, row, at, total.get())
            elif e.sharded:
                b["mixed"].store(total.get(), row, at)
            else:
                e.add(row, at, total.get())
        if meeting:
            e.add_parts("down", meeting)
