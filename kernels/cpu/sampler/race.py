"""The largest score among a row's tokens, and whether top-p leaves that token.

The noise of the definition takes two logarithms a token. A bound of it takes one word of bits,
read as a float: the score is computed where that may be the largest one so far. Nothing is sorted:
whether top-p leaves the token is seen by what weighs more than it does, and if not, the race is run
again among those before it.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.sampler.numbers import Number, fenced
from raylax.kernels.cpu.sampler.rows import INFINITY, LANES, Values, any_of, places
from raylax.kernels.cpu.tir.emit import Expr, Register, f32, fma, intrinsic, lanes, splat

ONE = 2.0**23
"""What the bits of a float grow by when it doubles: bounds are in these units of a power of two."""
LARGEST = 3.4028234663852886e38
SHIFT = 127 + 31 + math.log2(math.log(2))
"""-log2(-log2(1 - v)) is at most -log2(v / log(2)); of v = word / 2^32 the logarithm is at least
that of its float's bits, which are straight between powers of two."""
SLACK = 1e-3
"""More than all roundings, in powers of two."""
ABOUT_EXP2 = 0.05508868, 0.24260405, 0.69327624, 0.99992894
"""2^x on [-0.5, 0.5], highest power first, to 8e-5: for sums that need no more."""
ABOUT = 1e-4
NOBODY = 2**31 - 1


@dataclass(frozen=True)
class Rule:
    """How one row is drawn, in scalars."""

    scale: Expr
    top_p: Expr
    least: Expr
    typical: Expr
    first: Number
    second: Number


class Race:
    """Draws one token of some values, whose scattered tokens lie in `tokens` from `base` on."""

    def __init__(
        self, defined: dict[str, Any], values: Values, tokens: Expr, base: Expr, rule: Rule
    ) -> None:
        self.defined, self.values, self.rule = defined, values, rule
        self.tokens, self.base = tokens, base

    def run(self, top: Register, first: Register, nearest: Expr) -> Register:
        """The place of the token that is drawn. `top`: the largest value, at the place `first`;
        `nearest`: no value that is less weighs as much as min-p asks for."""
        self.top, self.first = top, first
        self.least = Register(nearest, "float32")
        self.limit = Register(T.float32(-INFINITY), "float32")
        self.limit_place = Register(T.int32(NOBODY), "int32")
        self.place = Register(T.int32(0), "int32")
        self._prepare()
        again = Register(T.int32(1), "int32")
        with T.While(again.get() > 0):
            self._find()
            value = Register(self.values.buffer[self.values.base + self.place.get()], "float32")
            again.set(T.int32(0))
            with T.If(self._is_left_out(value)), T.Then():
                self.limit.set(value.get())
                self.limit_place.set(self.place.get())
                self._narrow(value)
                again.set(T.int32(1))
        return self.place

    def _prepare(self) -> None:
        """What has to be known of all values."""
        self.total = Register(T.float32(0), "float32")
        with T.If(self.rule.top_p < T.float64(1)), T.Then():
            self.total.set(self._about(None))
            self.least.set(T.max(self.least.get(), self._lightest()))

    def _narrow(self, value: Register) -> None:
        """The limit is here now."""
        self.least.set(T.max(self.least.get(), value.get()))

    def _lightest(self) -> Expr:
        """No value that is less is left by top-p: all that come behind would weigh less than
        1 - top-p even together. A half of that leaves room for rounding."""
        share = (T.float64(1) - self.rule.top_p) * T.float64(0.5)
        each = share * T.cast(self.total.get(), "float64")
        each = Register(each / T.cast(self.values.count, "float64"), "float64")
        exponent = T.shift_right(T.reinterpret("int64", each.get()), T.int64(52)) - T.int64(1023)
        below = T.cast(exponent, "float64") / T.cast(self.rule.scale, "float64")
        return lowered(self.top, below)

    def _is_left_out(self, value: Register) -> Expr:
        """Whether top-p leaves out the token that was found: what comes before it weighs enough.
        Sums of floats say so, where they are not too near to each other."""
        out = Register(T.int32(0), "int32")
        with T.If(self.rule.top_p < T.float64(1)), T.Then():
            before = self._about(value)
            rounded = T.float32(2.0**-22) * T.cast(self.values.vectors, "float32")
            error = rounded + T.float32(3 * ABOUT)  # of both sums, and some more
            margin = Register(error * self.total.get(), "float32")
            enough = T.cast(self.rule.top_p, "float32") * self.total.get()
            missing = Register(enough - before, "float32")
            out.set(T.cast(missing.get() < T.float32(0), "int32"))
            size = T.max(missing.get(), T.float32(0) - missing.get())
            with T.If(size <= margin.get()), T.Then():
                before, total = self._weighed(value)
                out.set(T.cast(before >= wanted(total, self.rule.top_p), "int32"))
        return out.get() > 0

    def _about(self, value: Register | None) -> Expr:
        """About what all weigh together, or all that come before the token that was found, in
        proportion to the largest: to 2^-23 of it for each vector, and ABOUT."""
        total = Register(f32(0))
        with T.serial(0, self.values.vectors) as j:
            x = Register(self.values.at(j))
            if value is None:
                total.set(total.get() + self._power(x))
            else:
                with T.If(any_of(x.get() >= splat(value.get()))), T.Then():
                    place = Register(places(j * LANES), "int32x16")
                    ahead = earlier_of(x, place, value, self.place)
                    total.set(total.get() + T.Select(ahead, self._power(x), f32(0)))
        return Register(
            intrinsic("float32", "llvm.vector.reduce.fadd", T.float32(0), total.get()), "float32"
        ).get()

    def _power(self, x: Register) -> Expr:
        """2^t, about, and hardly anything in place of nothing."""
        t = (x.get() - splat(self.top.get())) * splat(self.rule.scale)
        t = Register(T.max(t, f32(-100)))
        whole = Register(intrinsic("float32x16", "llvm.nearbyint", t.get()))
        part, value = Register(t.get() - whole.get()), f32(ABOUT_EXP2[0])
        for coefficient in ABOUT_EXP2[1:]:
            value = fma(value, part.get(), f32(coefficient))
        power = T.shift_left(T.cast(whole.get(), "int32x16"), splat(T.int32(23)))
        return T.reinterpret("float32x16", T.reinterpret("int32x16", value) + power)

    def _distance(self, x: Expr) -> Number:
        largest = Number(splat(self.top.get()), "float32")
        scale = Number(splat(self.rule.scale), "float32")
        found: Number = self.defined["distance"](Number(x, "float32"), largest, scale)
        return found

    def _find(self) -> None:
        """The largest score of those before the limit. The vector with the largest value comes
        first: what it scores leaves few others."""
        best = Register(T.float32(-INFINITY), "float32")
        self.place.set(self.first.get())
        threshold = Register(T.float32(-INFINITY), "float32")
        steep = Register(
            fenced(T.min(self.rule.scale, T.float32(LARGEST / ONE)) * T.float32(ONE), lanes=1),
            "float32",
        )
        with T.serial(0, self.values.vectors + 1) as step:
            largest = T.shift_right(self.first.get(), T.int32(4))
            j = T.Bind(T.Select(step == 0, largest, step - 1))
            x = Register(self.values.at(j))
            with T.If(any_of(x.get() >= splat(self.least.get()))), T.Then():
                token = Number(self.tokens[lanes(self.base + j * LANES)], "uint32")
                bound = self._bound(x, token, steep)
                with T.If(any_of(bound >= splat(threshold.get()))), T.Then():
                    self._score(j, x, token, best, threshold)

    def _bound(self, x: Register, token: Number, steep: Register) -> Expr:
        high = self.defined["word"](token, self.rule.first, self.rule.second)
        number = T.cast(T.reinterpret("int32x16", (high >> 1).value), "float32x16")
        bits = Register(T.cast(T.reinterpret("int32x16", number), "float32x16"))
        far = (x.get() - splat(self.top.get())) * splat(steep.get())
        return Register(fenced(far) - bits.get()).get()

    def _score(
        self, j: Expr, x: Register, token: Number, best: Register, threshold: Register
    ) -> None:
        one = self._seen(x, j)
        score = self.defined["score"](one.t, token, self.rule.first, self.rule.second)
        place, stays = one.place, T.bitwise_and(self._may(one), x.get() > f32(-INFINITY))
        points = Register(T.Select(stays, score.value, f32(-INFINITY)))
        most = Register(intrinsic("float32", "llvm.vector.reduce.fmax", points.get()), "float32")
        ties = T.Select(points.get() >= splat(most.get()), place.get(), splat(T.int32(NOBODY)))
        found = Register(intrinsic("int32", "llvm.vector.reduce.smin", ties), "int32")
        sooner = T.bitwise_and(found.get() < self.place.get(), most.get() > T.float32(-INFINITY))
        same = T.bitwise_and(most.get() == best.get(), sooner)
        with T.If(T.bitwise_or(most.get() > best.get(), same)), T.Then():
            best.set(most.get())
            self.place.set(found.get())
            least = most.get() - T.float32(SHIFT + SLACK)
            threshold.set(fenced(least * T.float32(ONE), lanes=1))

    def _seen(self, x: Register, j: Expr) -> "Seen":
        """All that is known of a vector of values."""
        t = self._distance(x.get())
        place = Register(places(j * LANES), "int32x16")
        return Seen(x, place, t, self.defined["weight"](t))

    def _may(self, one: "Seen") -> Expr:
        """Which tokens min-p leaves of those before the limit."""
        heavy = one.weight.value >= splat(self.rule.least)
        return T.bitwise_and(heavy, earlier(one, self.limit, self.limit_place))

    def _weighed(self, value: Register) -> tuple[Expr, Expr]:
        """What all weigh that come before the token that was found, and all together."""
        zero = splat(T.int64(0))
        before, total = Register(zero, "int64x16"), Register(zero, "int64x16")
        with T.serial(0, self.values.vectors) as j:
            one = self._seen(Register(self.values.at(j)), j)
            total.set(total.get() + one.weight.value)
            ahead = earlier(one, value, self.place)
            before.set(before.get() + T.Select(ahead, one.weight.value, zero))
        return added(before), added(total)


class Seen(NamedTuple):
    """A vector of values, and what follows from them."""

    x: Register
    place: Register
    t: Number
    weight: Number


def earlier(one: Seen, value: Register, place: Register) -> Expr:
    """Which tokens come before the one with this value at this place, in the order of the
    definition."""
    return earlier_of(one.x, one.place, value, place)


def earlier_of(x: Register, at: Register, value: Register, place: Register) -> Expr:
    same = T.bitwise_and(x.get() == splat(value.get()), at.get() < splat(place.get()))
    return T.bitwise_or(x.get() > splat(value.get()), same)


def added(one: Register) -> Expr:
    """The sum of 16 integers of 64 bits."""
    return Register(intrinsic("int64", "llvm.vector.reduce.add", one.get()), "int64").get()


def wanted(total: Expr, share: Expr) -> Expr:
    """Of so much weight, how much is kept at least."""
    exact = fenced(T.cast(total, "float64") * share, "float64", 1)
    return T.max(T.cast(exact, "int64"), T.int64(1))


def lowered(top: Register, below: Expr) -> Expr:
    """A value that is `below` the top one, float64, or a little less."""
    exact = Register(T.cast(top.get(), "float64") + below, "float64")
    size = T.max(exact.get(), T.float64(0) - exact.get())
    return T.cast(exact.get() - size * T.float64(2.0**-22), "float32")
