"""The largest score among the tokens that typical-p leaves, behind top-k, top-p and min-p.

As in a race without it: who wins is drawn, unless those that are more typical weigh enough without
it; then the race is run again among those. Where top-p ends is looked for before.
"""

from collections.abc import Callable

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.sampler.numbers import Number, maximum, to_int
from raylax.kernels.cpu.sampler.race import NOBODY, Race, Seen, added, earlier, wanted
from raylax.kernels.cpu.sampler.rows import HIGHEST_KEY, INFINITY, LANES, LOWEST_KEY, float_of
from raylax.kernels.cpu.tir.emit import Expr, Register, intrinsic, splat
from raylax.kernels.draws.definition import LEAST_T, LIGHT, TICK


class TypicalRace(Race):
    """A race whose limit is a distance from the mean, and a token among those that have it."""

    def _prepare(self) -> None:
        self.cut = Register(T.float32(-INFINITY), "float32")
        self.cut_place = Register(T.int32(NOBODY), "int32")
        with T.If(self.rule.top_p < T.float64(1)), T.Then():
            self._cut()
            self.least.set(T.max(self.least.get(), self.cut.get()))
        self.mean = Register(T.int32(0), "int32")
        self.limit_distance = Register(T.int32(NOBODY), "int32")

        def parts(one: Seen) -> tuple[Expr, Expr, Expr]:
            weight = Register(self._left(one), "int64x16")
            light = Register(T.shift_right(weight.get(), splat(T.int64(LIGHT))), "int64x16")
            return weight.get(), light.get(), light.get() * T.cast(self._ticks(one), "int64x16")

        total, mass, moment = self._sums(parts, 3)
        self.total = Register(total, "int64")
        self.mean.set(T.cast(T.truncdiv(moment, mass), "int32"))

    def _narrow(self, value: Register) -> None:
        self.limit_distance.set(self._distance_at(value))

    def _is_left_out(self, value: Register) -> Expr:
        found = Register(self._distance_at(value), "int32")
        zero = splat(T.int64(0))

        def before(one: Seen) -> tuple[Expr]:
            sooner = self._nearer(one, found, value, self.place)
            return (T.Select(sooner, self._left(one), zero),)

        return self._sums(before, 1)[0] >= wanted(self.total.get(), self.rule.typical)

    def _may(self, one: Seen) -> Expr:
        within = self._nearer(one, self.limit_distance, self.limit, self.limit_place)
        return T.bitwise_and(within, self._is_left(one))

    def _is_left(self, one: Seen) -> Expr:
        """Which tokens top-p and min-p leave."""
        heavy = one.weight.value >= splat(self.rule.least)
        same = T.bitwise_and(
            one.x.get() == splat(self.cut.get()), one.place.get() <= splat(self.cut_place.get())
        )
        return T.bitwise_and(heavy, T.bitwise_or(one.x.get() > splat(self.cut.get()), same))

    def _left(self, one: Seen) -> Expr:
        """The weights of those."""
        return T.Select(self._is_left(one), one.weight.value, splat(T.int64(0)))

    def _ticks(self, one: Seen) -> Expr:
        down: Number = maximum(one.t, LEAST_T) * float(TICK)
        return splat(T.int32(0)) - to_int(down).value

    def _away(self, one: Seen) -> Expr:
        """How far each is from the mean."""
        apart = Register(self._ticks(one) - splat(self.mean.get()), "int32x16")
        return T.max(apart.get(), splat(T.int32(0)) - apart.get())

    def _distance_at(self, value: Register) -> Expr:
        return alike(self._away(self._seen(Register(splat(value.get())), T.int32(0))), "int32")

    def _nearer(self, one: Seen, distance: Register, value: Register, place: Register) -> Expr:
        """Which tokens come before the one that has these, in the order of typical-p."""
        away, other = Register(self._away(one), "int32x16"), splat(distance.get())
        same = T.bitwise_and(away.get() == other, earlier(one, value, place))
        return T.bitwise_or(away.get() < other, same)

    def _sums(self, of: Callable[[Seen], tuple[Expr, ...]], count: int) -> list[Expr]:
        """Of all tokens the sums of so many integers of 64 bits."""
        totals = [Register(splat(T.int64(0)), "int64x16") for _ in range(count)]
        with T.serial(0, self.values.vectors) as j:
            parts = of(self._seen(Register(self.values.at(j)), j))
            for total, part in zip(totals, parts, strict=True):
                total.set(total.get() + part)
        return [added(total) for total in totals]

    def _cut(self) -> None:
        """Where top-p ends: the last value that it leaves, and the last place that has it."""
        zero = splat(T.int64(0))

        def above(least: Register) -> Expr:
            def heavy(one: Seen) -> tuple[Expr]:
                return (T.Select(one.x.get() >= splat(least.get()), one.weight.value, zero),)

            return self._sums(heavy, 1)[0]

        lowest = Register(T.float32(-INFINITY), "float32")
        enough = Register(wanted(above(lowest), self.rule.top_p), "int64")
        low, high = Register(T.int64(LOWEST_KEY), "int64"), Register(T.int64(HIGHEST_KEY), "int64")
        with T.While(high.get() - low.get() > 1):
            middle = Register(T.shift_right(low.get() + high.get(), T.int64(1)), "int64")
            least = Register(float_of(middle.get()), "float32")
            with T.If(above(least) >= enough.get()):
                with T.Then():
                    low.set(middle.get())
                with T.Else():
                    high.set(middle.get())
        self.cut.set(float_of(low.get()))
        over = Register(float_of(high.get()), "float32")
        missing = Register(enough.get() - above(over), "int64")
        one = self._seen(Register(splat(self.cut.get())), T.int32(0))
        each = Register(alike(one.weight.value, "int64"), "int64")
        equals = Register(T.truncdiv(missing.get() + each.get() - 1, each.get()), "int64")
        with T.serial(0, self.values.vectors * LANES) as place:
            value = Register(self.values.buffer[self.values.base + place], "float32")
            with T.If(T.bitwise_and(value.get() == self.cut.get(), equals.get() > 0)), T.Then():
                equals.set(equals.get() - 1)
                self.cut_place.set(place)


def alike(vector: Expr, dtype: str) -> Expr:
    """The integer that is in every lane."""
    return intrinsic(dtype, "llvm.vector.reduce.smax", Register(vector, f"{dtype}x16").get())
