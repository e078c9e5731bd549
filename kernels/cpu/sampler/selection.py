"""The k largest values of a row, taken out into a list in the order of their places."""

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.sampler.rows import INFINITY, LANES, Values, any_of
from raylax.kernels.cpu.tir.emit import Expr, Register, f32, lanes, splat

FEW, PARTS = 64, 1024
"""Vectors that hold the largest values of so many parts of a row, for a small k and a large one."""
PER_WANTED = 2
"""Parts for each value that is wanted."""
WORTH = 8
"""Vectors of a row for each of these: of shorter ones all values are looked at."""


@dataclass(frozen=True)
class List:
    """Where one worker takes values out into: values from `base` on, and the places that they had
    in the row from `first` on."""

    values: Expr
    base: Expr
    places: Expr
    first: Expr

    def of(self, count: Expr) -> Values:
        return Values(self.values, self.base, count)


def largest_of(row: Values, k: Expr, out: List) -> Register:
    """Puts the k largest values into the list, of equal ones those that come first; how many there
    are. `k` is at least 1.

    A part of the row has a largest value each; what is less than the k-th of these is left out
    before one is looked at alone.
    """
    least = Register(T.float32(0), "float32")
    vectors = T.Bind(T.Select(k * PER_WANTED <= FEW * LANES, FEW, PARTS))
    fits = k * PER_WANTED <= vectors * LANES
    with T.If(T.bitwise_and(fits, row.vectors >= vectors * WORTH)):
        with T.Then():
            parts = out.of(vectors * LANES)
            largest_of_parts(row, parts)
            least.set(parts.kth(k).get())
        with T.Else():
            least.set(row.kth(k).get())
    count = taken(row, least, out)
    exact = out.of(count.get())
    cut = exact.kth(k)
    above = exact.number(lambda x: x > splat(cut.get()))
    equals = Register(k - above, "int32")
    return shortened(count, cut, equals, out)


def largest_of_parts(row: Values, parts: Values) -> None:
    """Puts the largest value of each part there; `parts` are as many vectors as a power of two."""
    with T.serial(0, parts.vectors) as j:
        T.buffer_store(parts.buffer, f32(-INFINITY), [lanes(parts.base + j * LANES)])
    with T.serial(0, row.vectors) as j:
        slot = T.Bind(T.bitwise_and(j, parts.vectors - 1))
        more = T.max(parts.at(slot), row.at(j))
        T.buffer_store(parts.buffer, more, [lanes(parts.base + slot * LANES)])


def taken(row: Values, least: Register, out: List) -> Register:
    """Puts all values from `least` on into the list."""
    count = Register(T.int32(0), "int32")
    with T.serial(0, row.vectors) as j:
        likely = any_of(row.at(j) >= splat(least.get()))
        with T.If(likely), T.Then(), T.serial(0, LANES) as lane:
            place = T.Bind(j * LANES + lane)
            value = Register(row.buffer[row.base + place], "float32")
            there = T.bitwise_and(value.get() >= least.get(), place < row.count)
            put_if(T.cast(there, "int32"), out, count, value.get(), place)
    fill_up(out, count)
    return count


def shortened(count: Register, cut: Register, equals: Register, out: List) -> Register:
    """Leaves in the list what is above `cut`, and the first so many that equal it."""
    left = Register(T.int32(0), "int32")
    with T.serial(0, count.get()) as i:
        value = Register(out.values[out.base + i], "float32")
        same = T.Bind(T.cast(value.get() == cut.get(), "int32"))
        equal = T.bitwise_and(same > 0, equals.get() > 0)
        stays = T.Bind(T.cast(T.bitwise_or(value.get() > cut.get(), equal), "int32"))
        equals.set(equals.get() - same)
        put_if(stays, out, left, value.get(), out.places[out.first + i])
    fill_up(out, left)
    return left


def put_if(there: Expr, out: List, count: Register, value: Expr, place: Expr) -> None:
    """Appends to the list, if `there` is 1; if it is 0 the next one takes the place. No branch."""
    T.buffer_store(out.values, value, [out.base + count.get()])
    T.buffer_store(out.places, place, [out.first + count.get()])
    count.set(count.get() + there)


def fill_up(out: List, count: Register) -> None:
    """What may lie behind the end, up to a whole vector, counts for nothing."""
    T.buffer_store(out.values, f32(-INFINITY), [lanes(out.base + count.get())])
