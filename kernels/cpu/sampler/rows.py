"""Values of a row, in vectors: the k largest of them, and how likely all are.

Whatever is shared out between lanes is a largest value or a sum of whole numbers, which have one
result in every order; the one sum of floats that there is, is taken in 16 lanes on every CPU.
"""

from collections.abc import Callable

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import Expr, Register, f32, fma, intrinsic, lanes, splat

LANES = 16
INFINITY = float("inf")
LOWEST_KEY, HIGHEST_KEY = -2139095041, 2139095040
"""Keys of -inf and inf."""
LOG2_E = 1.4426950408889634
# 2^x on [-0.5, 0.5], highest power first: Taylor's, 2e-13.
EXP2 = (
    7.054911620801123e-09, 1.01780860092397e-07, 1.3215486790144307e-06, 1.525273380405984e-05,
    0.0001540353039338161, 0.0013333558146428443, 0.009618129107628477, 0.05550410866482158,
    0.24022650695910072, 0.6931471805599453, 1.0,
)  # fmt: skip


def any_of(condition: Expr) -> Expr:
    return intrinsic("bool", "llvm.vector.reduce.or", condition)


def places(base: Expr) -> Expr:
    """16 places from `base` on, as values."""
    return splat(base) + lanes(0)


def float_of(key: Expr) -> Expr:
    """The float32 of a key: an int64 in the order of floats."""
    narrow = T.cast(key, "int32")
    flipped = T.bitwise_xor(narrow, T.int32(0x7FFFFFFF))
    return T.reinterpret("float32", T.Select(narrow < 0, flipped, narrow))


class Values:
    """float32 values from a place of a buffer on, up to whole vectors; what fills the last one up
    is -inf."""

    def __init__(self, buffer: Expr, base: Expr, count: Expr) -> None:
        self.buffer, self.base, self.count = buffer, base, count

    @property
    def vectors(self) -> Expr:
        return T.truncdiv(self.count + (LANES - 1), LANES)

    def at(self, vector: Expr) -> Expr:
        return self.buffer[lanes(self.base + vector * LANES)]

    def largest(
        self, seen: Callable[[Expr, Expr], Expr] | None = None
    ) -> tuple[Register, Register]:
        """The largest value, and the first place that has it. `seen` is called with each vector's
        number and values, and gives those that count; without it they are what lies there."""
        best, index = Register(f32(-INFINITY)), Register(splat(T.int32(0)), "int32x16")
        with T.serial(0, self.vectors) as j:
            value = Register(self.at(j) if seen is None else seen(j, self.at(j)))
            more = value.get() > best.get()
            index.set(T.Select(more, splat(j), index.get()))
            best.set(T.Select(more, value.get(), best.get()))
        top = Register(intrinsic("float32", "llvm.vector.reduce.fmax", best.get()), "float32")
        there = index.get() * splat(T.int32(LANES)) + lanes(0)
        ties = T.Select(best.get() >= splat(top.get()), there, splat(T.int32(2**31 - 1)))
        return top, Register(intrinsic("int32", "llvm.vector.reduce.smin", ties), "int32")

    def number(self, holds: Callable[[Expr], Expr]) -> Expr:
        """How many values hold."""
        total = Register(splat(T.int32(0)), "int32x16")
        with T.serial(0, self.vectors) as j:
            one = T.Select(holds(self.at(j)), splat(T.int32(1)), splat(T.int32(0)))
            total.set(total.get() + one)
        return intrinsic("int32", "llvm.vector.reduce.add", total.get())

    def kth(self, k: Expr) -> Register:
        """The k-th largest value; -inf if there are not so many."""
        low, high = Register(T.int64(LOWEST_KEY), "int64"), Register(T.int64(HIGHEST_KEY), "int64")
        with T.While(high.get() - low.get() > 1):
            middle = Register(T.shift_right(low.get() + high.get(), T.int64(1)), "int64")
            least = Register(float_of(middle.get()), "float32")
            enough = Register(
                T.cast(self.number(lambda x: x >= splat(least.get())) >= k, "int32"), "int32"
            )
            low.set(T.Select(enough.get() > 0, middle.get(), low.get()))
            high.set(T.Select(enough.get() > 0, high.get(), middle.get()))
        return Register(float_of(low.get()), "float32")

    def weighed(self, top: Register) -> Expr:
        """The sum of e^(x - top), float64, lane by lane."""
        total = Register(splat(T.float64(0)), "float64x16")
        with T.serial(0, self.vectors) as j:
            x = T.cast(self.at(j), "float64x16") - splat(T.cast(top.get(), "float64"))
            t = Register(x * splat(T.float64(LOG2_E)), "float64x16")
            lowest = splat(T.float64(-1000))
            clamped = Register(T.Select(t.get() > lowest, t.get(), lowest), "float64x16")
            whole = Register(intrinsic("float64x16", "llvm.nearbyint", clamped.get()), "float64x16")
            part = Register(clamped.get() - whole.get(), "float64x16")
            value = splat(T.float64(EXP2[0]))
            for coefficient in EXP2[1:]:
                value = fma(value, part.get(), splat(T.float64(coefficient)), "float64x16")
            exponent = T.cast(T.cast(whole.get(), "int32x16"), "int64x16") + splat(T.int64(1023))
            power = T.reinterpret("float64x16", T.shift_left(exponent, splat(T.int64(52))))
            total.set(fma(value, power, total.get(), "float64x16"))
        zero = T.float64(0)
        return intrinsic("float64", "llvm.vector.reduce.fadd", zero, total.get())
