"""What `kernels/cpu/rounding.py` defines, emitted.

Lanes are 16 groups, so nothing goes across lanes. A group is scaled by a power of two, and rounded
to whole numbers for the sums. Those with codes are then exact in f32, and that of squares goes
upwards, each by an fma: all CPUs have the same bits (law 1).
"""

from collections.abc import Callable, Sequence
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.dot import rounded
from raylax.kernels.cpu.tir.emit import (
    LANES,
    Expr,
    Register,
    f32,
    fma,
    function,
    intrinsic,
    lanes,
    scratch,
    splat,
)

PLACES = 12
"""The largest weight of a group becomes 2^12 .. 2^13: 128 products with codes are below 2^24."""
LEAST, MOST = 24, 253
"""Exponents, as f32 has them, with which the largest weight has a scale: below LEAST all count as
zeros, above MOST there are infinities and NaN. Nothing is denormal in between."""


def emitted(
    size: int, bits: int, zero: int, lowest: int, highest: int, ends: Sequence[float], half: bool
) -> Any:
    """The PrimFunc run(count, weights[count * size], codes, scales[count]): of groups one after the
    other, a multiple of 16 of them. Codes are words of 32 bits. Scales of what is not finite are
    NaN."""
    words = size * bits // 32
    with function("round_groups") as builder:
        count = T.arg("count", T.int32())
        weights = T.arg("weights", T.buffer((count * size,), "float32"))
        codes = T.arg("codes", T.buffer((count * words,), "int32"))
        scales = T.arg("scales", T.buffer((count,), "float32"))
        with T.serial(0, T.floordiv(count, LANES)) as i:
            groups = Groups(size, (lowest, highest), half)
            groups.read(weights, i * (LANES * size))
            scale = groups.fitted(ends) if len(ends) > 1 else groups.largest_at(*ends)
            T.buffer_store(scales, groups.true(scale), [lanes(i * LANES)])
            at = groups.codes(scale, bits, zero)
            with T.serial(0, words) as word:
                T.buffer_store(codes, at(word), [T.ramp(i * (LANES * words) + word, words, LANES)])
    return builder.get()


class Groups:
    """16 groups: their weights are kept times `down`, a power of two, and so are scales."""

    def __init__(self, size: int, codes: tuple[int, int], half: bool) -> None:
        self.size, self.half = size, half
        self.lowest, self.highest = codes
        self._kept = scratch(size * LANES)

    def read(self, weights: Expr, first: Expr) -> None:
        """Takes the groups that begin at `first`."""
        highest, magnitude = Register(f32(-3.0e38)), Register(whole(0), "int32x16")
        with T.serial(0, self.size) as k:
            value = Register(weights[T.ramp(first + k, self.size, LANES)])
            bits = T.bitwise_and(T.reinterpret("int32x16", value.get()), whole(0x7FFFFFFF))
            magnitude.set(T.max(magnitude.get(), bits))  # NaN's bits are the largest
            highest.set(T.Select(value.get() > highest.get(), value.get(), highest.get()))
            self._keep(k, value.get())
        self._exponent = Register(T.shift_right(magnitude.get(), whole(23)), "int32x16")
        used = Register(T.max(self._exponent.get(), whole(LEAST)), "int32x16")
        self._up = Register(power(used.get()) * f32(2.0**-PLACES))
        self._down = Register(power(whole(254) - used.get()) * f32(2.0**PLACES))
        largest = Register(floats(magnitude.get()))
        signed = T.Select(highest.get() >= largest.get(), largest.get(), f32(0) - largest.get())
        self._peak = Register(signed * self._down.get())
        self._there = self._exponent.get() >= whole(LEAST)
        with T.serial(0, self.size) as k:
            self._keep(k, self._at(k) * self._down.get())

    def _keep(self, k: Expr, value: Expr) -> None:
        T.buffer_store(self._kept, value, [lanes(k * LANES)])

    def _at(self, k: Expr) -> Expr:
        return self._kept[lanes(k * LANES)]

    def largest_at(self, end: float) -> Register:
        """The scale that puts the largest weight there; 0 of groups that are zeros."""
        scale = self._stored(self._peak.get() * f32(1 / end))
        return Register(T.Select(self._there, scale, f32(0)))

    def fitted(self, ends: Sequence[float]) -> Register:
        """The best of the scales that put it at one of these, each fitted to its codes."""
        per = Register(T.Select(self._there, f32(1) / self._peak.get(), f32(0)))
        inverses = [Register(per.get() * f32(end)) for end in ends]
        sums = [(Register(f32(0)), Register(f32(0))) for _ in ends]
        with T.serial(0, self.size) as k:
            value = Register(nearest(self._at(k)))
            for end, inverse, (met, squares) in zip(ends, inverses, sums, strict=True):
                code = Register(self._code(value.get() * inverse.get(), abs(end)))
                met.set(fma(code.get(), value.get(), met.get()))
                squares.set(fma(code.get(), code.get(), squares.get()))
        scale, least = Register(f32(0)), Register(f32(0))
        for met, squares in sums:
            exact = T.Select(squares.get() > f32(0), met.get() / squares.get(), f32(0))
            tried = Register(self._stored(exact))
            twice = f32(0) - (met.get() + met.get())
            error = Register(tried.get() * fma(tried.get(), squares.get(), twice))
            better = error.get() < least.get()
            scale.set(T.Select(better, tried.get(), scale.get()))
            least.set(T.Select(better, error.get(), least.get()))
        return self._undiminished(scale)

    def _undiminished(self, scale: Register) -> Register:
        """The scale with which what is kept of the weights, times the weights, is their square."""
        there = scale.get() != f32(0)
        inverse = Register(T.Select(there, f32(1) / scale.get(), f32(0)))
        met, squares = Register(f32(0)), Register(f32(0))
        with T.serial(0, self.size) as k:
            value = Register(nearest(self._at(k)))
            code = self._code(value.get() * inverse.get(), 2 * self.highest)
            met.set(fma(code, value.get(), met.get()))
            squares.set(fma(value.get(), value.get(), squares.get()))
        exact = T.Select(there, squares.get() / met.get(), f32(0))
        return Register(self._stored(exact))

    def _stored(self, scale: Expr) -> Expr:
        """The nearest that bf16 has. Where `half` one that f16 has, too: below 2^-14 there are
        multiples of 2^-24 alone, and it is the next larger one."""
        bits = T.bitwise_and(rounded(Register(scale).get()), splat(T.uint32(0xFFFF0000)))
        short = Register(floats(bits))
        if not self.half:
            return short.get()
        true = Register(short.get() * self._up.get())
        negative = true.get() < f32(0)
        size = Register(T.Select(negative, f32(0) - true.get(), true.get()))
        coarse = intrinsic("float32x16", "llvm.ceil", size.get() * f32(2.0**24)) * f32(2.0**-24)
        scaled = Register(coarse * self._down.get())
        signed = T.Select(negative, f32(0) - scaled.get(), scaled.get())
        return T.Select(size.get() < f32(2.0**-14), signed, short.get())

    def _code(self, value: Expr, most: float) -> Expr:
        """The codes nearest to numbers of about this magnitude at most, as floats."""
        code = nearest(value)
        if most >= self.highest + 0.5:
            code = T.Select(code < f32(self.highest), code, f32(self.highest))
        if most >= 0.5 - self.lowest:
            code = T.Select(code > f32(self.lowest), code, f32(self.lowest))
        return code

    def true(self, scale: Register) -> Expr:
        """Scales as they are, NaN where something is not finite."""
        finite = self._exponent.get() <= whole(MOST)
        return T.Select(finite, scale.get() * self._up.get(), f32(float("nan")))

    def codes(self, scale: Register, bits: int, zero: int) -> Callable[[Any], Any]:
        """The nearest codes, stored: word -> the groups' words."""
        there = scale.get() != f32(0)
        inverse = Register(T.Select(there, f32(1) / scale.get(), f32(0)))

        def stored(k: Any) -> Any:
            code = self._code(self._at(k) * inverse.get(), 2 * self.highest)
            return T.cast(code + f32(zero), "int32x16")

        def of_word(word: Any) -> Any:
            out = Register(whole(0), "int32x16")
            for byte in range(4):
                k = word * 4 + byte
                if bits == 8:
                    parts = [stored(k)]
                else:  # four words are a line of 32, a byte has one of either half
                    first = k + T.floordiv(word, 4) * 16
                    parts = [stored(first), stored(first + 16)]
                for i, part in enumerate(parts):
                    shifted = T.shift_left(part, whole(byte * 8 + i * 4))
                    out.set(T.bitwise_or(out.get(), shifted))
            return out.get()

        return of_word


def nearest(value: Expr) -> Expr:
    """float32x16 of whole numbers, ties to even."""
    return intrinsic("float32x16", "llvm.nearbyint", value)


def whole(value: int) -> Expr:
    """A constant, as int32x16."""
    return splat(T.int32(value))


def floats(bits: Expr) -> Expr:
    """The float32x16 of 16 words."""
    return T.reinterpret("float32x16", bits)


def power(exponent: Expr) -> Expr:
    """The powers of two that have these exponents, as f32 has them."""
    return floats(T.shift_left(exponent, whole(23)))
