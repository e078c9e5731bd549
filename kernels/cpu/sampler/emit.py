"""The sampler as one function: each row is a task, which any worker takes.

It copies the row, changes the copy, and draws from it; so the logits stay as the model had them.
"""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.sampler.arguments import ARGUMENTS, FORBIDDEN, NAME, WIDE
from raylax.kernels.cpu.sampler.numbers import WRAPPING_IR, Number, definition, fenced
from raylax.kernels.cpu.sampler.race import LARGEST, Race, Rule, lowered
from raylax.kernels.cpu.sampler.rows import INFINITY, LANES, Values
from raylax.kernels.cpu.sampler.selection import List, largest_of
from raylax.kernels.cpu.sampler.typical import TypicalRace
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    f32,
    function,
    imported,
    intrinsic,
    lanes,
    splat,
)
from raylax.kernels.cpu.tir.queue import Queue
from raylax.kernels.draws.rules import RULE

Condition = Expr
SIZE, INFINITE = 0x7FFFFFFF, 0x7F800000
"""The bits of a float32 without its sign, and infinity's: NaN's are above them."""


def emit(cpu: CPU) -> Any:
    """The PrimFunc."""
    with function(NAME) as builder:
        args = {name: T.arg(name, declared(name, kind)) for name, kind in ARGUMENTS.items()}
        queue = Queue(args["counters"], args["ends"], (NAME,), cpu)
        with imported(WRAPPING_IR), queue.launch():
            count = T.Bind(args["sizes"][0])
            with queue.region(NAME, count) as task:
                RowTask(args, definition(cpu), task, queue.worker).emit()
    return builder.get()


def declared(name: str, kind: str) -> Expr:
    return T.buffer([T.int32() for _ in range(2 if name in WIDE else 1)], kind)


class RowTask:
    """What is done for one row."""

    def __init__(
        self, b: dict[str, Expr], defined: dict[str, Any], task: Expr, worker: Expr
    ) -> None:
        self.b, self.defined, self.task = b, defined, task
        self.vocab, self.stride = T.Bind(b["sizes"][1]), T.Bind(b["sizes"][2])
        padded = T.Bind(b["sizes"][3])
        self.row = Values(b["values"], T.Bind(worker * 2 * padded), self.vocab)
        self.few = T.Bind(worker * padded)
        self.list = List(b["values"], self.row.base + padded, b["places"], self.few)
        self.own_tokens = T.Bind((worker + 1) * padded)

    def rule(self, view: str, field: str) -> Expr:
        """A field of the row's rule, by the view that has its type."""
        assert RULE.fields is not None
        kind, place = RULE.fields[field][:2]
        size = kind.itemsize
        return self.b[view][self.task * (RULE.itemsize // size) + place // size]

    def emit(self) -> None:
        b, task = self.b, self.task
        with T.If(self._copy()):
            with T.Then():
                T.buffer_store(b["drawn"], T.int32(-1), [task])
                for name in ("largest", "peaks"):
                    T.buffer_store(b[name], T.float32(float("nan")), [task])
            with T.Else():
                with T.If(b["tops"][task] >= 0), T.Then():
                    self._weigh()
                with T.If(self.rule("words", "position") >= 0), T.Then():
                    self._change()
                    self._draw()

    def _copy(self) -> Condition:
        """Copies the row, and finds its largest value; whether something in it is no number."""
        b, vectors = self.b, T.Bind(T.truncdiv(self.vocab, LANES))
        start = T.Bind(T.cast(b["rows"][self.task], "int64") * T.cast(self.stride, "int64"))
        left = T.Bind(self.vocab - vectors * LANES)
        with T.If(left > 0), T.Then():  # they would lie behind the last row
            end = self.row.base + vectors * LANES
            T.buffer_store(b["values"], f32(-INFINITY), [lanes(end)])
            with T.serial(0, left) as i:
                x = b["logits"][start + T.cast(vectors * LANES + i, "int64")]
                T.buffer_store(b["values"], x, [end + i])
        wrong = Register(splat(T.int32(0)), "int32x16")

        def copied(j: Expr, value: Expr) -> Expr:
            with T.If(j < vectors), T.Then():
                place = start + T.cast(j * LANES, "int64")
                x = b["logits"][T.ramp(place, T.int64(1), LANES)]
                T.buffer_store(b["values"], x, [lanes(self.row.base + j * LANES)])
            copy = Register(value)
            size = T.bitwise_and(T.reinterpret("int32x16", copy.get()), splat(T.int32(SIZE)))
            wrong.set(T.max(wrong.get(), size))
            return copy.get()

        self.top, self.first = self.row.largest(copied)
        return intrinsic("int32", "llvm.vector.reduce.smax", wrong.get()) > INFINITE

    def _weigh(self) -> None:
        """What log-probabilities are made of: the logits as they are."""
        b, task = self.b, self.task
        T.buffer_store(b["peaks"], self.top.get(), [task])
        T.buffer_store(b["sums"], self.row.weighed(self.top), [task])
        wanted = T.Bind(T.min(b["tops"][task], self.vocab))
        with T.If(wanted > 0), T.Then():
            count = largest_of(self.row, wanted, self.list)
            with T.serial(0, count.get()) as i:
                T.buffer_store(b["likeliest"], b["places"][self.few + i], [task, i])

    def _change(self) -> None:
        """Bias, penalties and mask, and the largest of what they leave."""
        first, end = self.b["starts"][self.task], self.b["starts"][self.task + 1]
        mask = T.Bind(self.b["mask_rows"][self.task])
        with T.serial(0, end - first) as i:
            self._change_one(T.Bind(first + i))
        with T.If(mask >= 0):
            with T.Then():
                self._settle(self.row.largest(lambda j, value: self._masked(mask, j, value)))
            with T.Else(), T.If(end > first), T.Then():
                self._settle(self.row.largest())

    def _settle(self, largest: tuple[Register, Register]) -> None:
        self.top.set(largest[0].get())
        self.first.set(largest[1].get())

    def _change_one(self, entry: Expr) -> None:
        """One token's logit, in the order in which `Adjustment` has it."""
        b, count = self.b, Register(self.b["counts"][entry], "int32")
        repetition = self.rule("floats", "repetition")
        place = self.row.base + b["ids"][entry]
        x = Register(b["values"][place] + b["biases"][entry], "float32")
        with T.If(T.bitwise_and(count.get() >= 0, repetition != T.float32(1))), T.Then():
            less = T.Select(x.get() > 0, x.get() / repetition, x.get() * repetition)
            ended = T.max(fenced(less, lanes=1), T.float32(-LARGEST))
            x.set(T.min(ended, T.float32(LARGEST)))
        with T.If(count.get() > 0), T.Then():
            often = self.rule("floats", "frequency") * T.cast(count.get(), "float32")
            x.set(x.get() - self.rule("floats", "presence"))
            x.set(x.get() - fenced(often, lanes=1))
        with T.If(count.get() == FORBIDDEN), T.Then():
            x.set(T.float32(-INFINITY))
        T.buffer_store(b["values"], x.get(), [place])

    def _masked(self, mask: Expr, j: Expr, value: Expr) -> Expr:
        """Of a mask, bit i of word w is the token 32 * w + i: only those that are set are left."""
        half = T.bitwise_and(j, 1) * LANES
        word = T.shift_right(self.b["masks"][mask, T.shift_right(j, 1)], half)
        bits = T.shift_left(splat(T.int32(1)), lanes(0))
        allowed = T.bitwise_and(splat(word), bits) != splat(T.int32(0))
        x = Register(T.Select(allowed, value, f32(-INFINITY)))
        T.buffer_store(self.b["values"], x.get(), [lanes(self.row.base + j * LANES)])
        return x.get()

    def _draw(self) -> None:
        b, task, top = self.b, self.task, self.top
        T.buffer_store(b["largest"], top.get(), [task])
        T.buffer_store(b["drawn"], self.first.get(), [task])
        finite = T.bitwise_and(top.get() <= T.float32(LARGEST), top.get() >= T.float32(-LARGEST))
        with T.If(T.bitwise_and(finite, self.rule("floats", "scale") > 0)), T.Then():
            self._draw_by_noise()

    def _draw_by_noise(self) -> None:
        """Of the row, or of the list of what top-k leaves of it."""
        b, task, first = self.b, self.task, self.first
        base, tokens = Register(self.row.base, "int32"), Register(T.int32(0), "int32")
        count, top_k = Register(self.vocab, "int32"), self.rule("words", "top_k")
        is_few = T.Bind(T.cast(T.bitwise_and(top_k > 0, top_k < self.vocab), "int32"))
        with T.If(is_few > 0), T.Then():
            few = largest_of(self.row, top_k, self.list)
            self._scatter(few)
            base.set(self.list.base)
            tokens.set(self.own_tokens)
            count.set(few.get())
            first.set(self.list.of(few.get()).largest()[1].get())
        values = Values(b["values"], base.get(), count.get())
        place = Register(T.int32(0), "int32")
        with T.If(b["typicals"][task] < T.float64(1)):
            with T.Then():
                self._race(TypicalRace, values, tokens.get(), place)
            with T.Else():
                self._race(Race, values, tokens.get(), place)
        listed = b["places"][self.few + place.get()]
        T.buffer_store(b["drawn"], T.Select(is_few > 0, listed, place.get()), [task])

    def _scatter(self, few: Register) -> None:
        """The tokens of the list, as noise takes them."""
        b = self.b
        with T.serial(0, few.get()) as i:
            token = b["tokens"][b["places"][self.few + i]]
            T.buffer_store(b["tokens"], token, [self.own_tokens + i])

    def _race(self, kind: type[Race], values: Values, tokens: Expr, place: Register) -> None:
        """Leaves the place of the token that is drawn."""
        b, task = self.b, self.task
        rule = Rule(
            T.Bind(self.rule("floats", "scale")),
            T.Bind(self.rule("doubles", "top_p")),
            T.Bind(self.rule("longs", "least")),
            T.Bind(b["typicals"][task]),
            *(Number(splat(b["keys"][task * 2 + half]), "uint32") for half in range(2)),
        )
        nearest = lowered(self.top, b["nearest"][task])
        race = kind(self.defined, values, b["tokens"], tokens, rule)
        place.set(race.run(self.top, self.first, nearest).get())
