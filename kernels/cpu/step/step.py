"""The step of a decoder as two functions: all layers, and the head. Each is one launch.

Two, because the layers run over the step's tokens and the head over the few rows that are sampled;
each comes in variants by row tile, and every variant gives the same bits. Which part of the model
a rank computes is an argument: all ranks run the same code.
"""

from dataclasses import dataclass, fields
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats import Quantization
from raylax.kernels.cpu.formats.base import PANEL, Format, RowFormat
from raylax.kernels.cpu.program import (
    MEETINGS,
    Buffer,
    StepFunction,
)
from raylax.kernels.cpu.step.attend import Attention
from raylax.kernels.cpu.step.emitter import View
from raylax.kernels.cpu.step.head import Head
from raylax.kernels.cpu.step.mlp import MLP
from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.step.pages import Pages
from raylax.kernels.cpu.step.worklist import ROWS, bounds
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Expr, function, imported
from raylax.kernels.cpu.tir.exchange import EXCHANGE_IR, FLAGS, Exchange
from raylax.kernels.cpu.tir.queue import LINE, Queue
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight_table import Weight
from raylax.kernels.shards import Degree, Place
from raylax.kernels.spec import DecoderSpec

LAYERS = (
    "embed", "norm_1", "qkv", "attention", "merge", "round_o", "o", "add_o", "norm_2", "gate_up",
    "round_h", "down", "add_down",
)  # fmt: skip
HEAD = ("norm_f", "head", "argmax")
"""Operators in the order in which they run; not every step has them all."""

PLACE = tuple(field.name for field in fields(Place))


@dataclass(frozen=True)
class Capacity:
    """The most that one step can hold; buffers are made once, for this."""

    tokens: int
    rows: int
    """The most sequences in a step, and rows of logits."""
    sequence_length: int
    workers: int


@dataclass(frozen=True)
class Variant:
    """A function for up to `most` rows: few rows want their weights prefetched."""

    tile_rows: int
    most: int
    prefetch: bool

    @property
    def suffix(self) -> str:
        """What ends the names of functions of this variant."""
        return f"{self.tile_rows}{'' if self.prefetch else '_many'}"


MANY = 1 << 30
TILE = 8  # the largest: activation buffers are padded to it


def variants(fmt: Format) -> tuple[Variant, ...]:
    """The variants of a function whose products are of this format, by rising `most`."""
    few = (Variant(4, 4, True),) if fmt.tile_rows > 4 else ()
    last = Variant(fmt.tile_rows, 64, True), Variant(fmt.tile_rows, MANY, False)
    return Variant(1, 1, True), *few, *last


def declare(buffer: Buffer) -> Expr:
    """A buffer as an argument of a function that is being emitted."""
    sizes = [T.int32() if axis in buffer.free else n for axis, n in enumerate(buffer.shape)]
    return T.buffer(sizes, buffer.dtype)


def padded(count: int) -> int:
    """A count of rows up to whole tiles."""
    return -(-count // TILE) * TILE


def weight_buffer(weight: Weight, spec: DecoderSpec, q: Quantization) -> Buffer:
    """A weight as it lies packed: matrices in whole panels, in a format; vectors in f32."""
    shape, dtype = weight.shape, "float32"
    if weight.is_matrix:
        rows, k = shape
        fmt = q.layers if weight.layered else q.head
        shape, dtype = fmt.weight_shape(-(-rows // PANEL) * PANEL, k), fmt.dtype
    if weight.layered:
        return Buffer((spec.layers, *shape), dtype, "layer")
    return Buffer(shape, dtype, "weight")


def buffers(
    spec: DecoderSpec, degree: Degree, q: Quantization, pages: Pages, c: Capacity
) -> dict[str, Buffer]:
    """Every argument of a rank by name. Weights are whole, see `raylax.kernels.shards`. `pages` has
    the only leading layer besides the layered weights; it has one page here, and as many as there
    are when it is made."""
    local = degree.local(spec)

    def activation(tokens: int, k: int, by: Format = q.layers) -> Buffer:
        return Buffer(*by.activation(padded(tokens), k), "work", free=(0,))

    def rows(kind: str, count: int, *rest: int, dtype: str = "int32") -> Buffer:
        return Buffer((count, *rest), dtype, kind, free=(0,))

    attended = local.heads * spec.head_dim
    words = pages.words(spec.head_dim)
    group, kv_heads = local.queries_per_kv_head, local.kv_heads
    work = bounds(c.tokens, c.rows, c.sequence_length, group, kv_heads, c.workers)
    widest = max(spec.hidden, attended, local.intermediate)
    regions = spec.layers * len(LAYERS)  # of any stage: all run the same code
    table_width = -(-c.sequence_length // 16)
    meet = degree.tensor > 1
    table = {
        **{name: weight_buffer(one, spec, q) for name, one in weights_of(spec).items()},
        "cos": rows("table", c.sequence_length, spec.head_dim // 2, dtype="float32"),
        "sin": rows("table", c.sequence_length, spec.head_dim // 2, dtype="float32"),
        "pages": Buffer((local.layers, 1, 2, kv_heads, words), pages.dtype, "state", free=(0, 1)),
        "sizes": Buffer((3,), "int32", "input"),
        "place": Buffer((len(PLACE),), "int32", "input"),
        "ids": rows("input", c.tokens),
        "positions": rows("input", c.tokens),
        "slots": rows("input", c.tokens),
        "query_starts": rows("input", c.rows + 1),
        "kv_lengths": rows("input", c.rows),
        "page_table": Buffer((c.rows, table_width), "int32", "input", free=(0, 1)),
        "parts": rows("input", work.parts, 5),
        "splits": rows("input", work.splits, 4),
        "select": rows("input", c.rows),
        "x": rows("work", padded(c.tokens), spec.hidden, dtype="float32"),
        "q": rows("work", c.tokens, attended, dtype="float32"),
        "partials": rows("work", work.slots * ROWS, spec.head_dim + 32, dtype="float32"),
        "a": activation(c.tokens, spec.hidden),
        "o": activation(c.tokens, attended),
        "h": activation(c.tokens, local.intermediate),
        "f": activation(c.rows, spec.hidden, q.head),
        "normed": rows("work", c.rows, spec.hidden, dtype="float32"),
        "logits": rows("shared" if meet else "work", c.rows, spec.padded_vocab, dtype="float32"),
        "chosen": rows("work", c.rows),
        "counters": Buffer((regions, LINE * (c.workers + 1)), "int32", "work"),
        "ends": Buffer((regions + 1,), "int64", "work"),
        "head_ends": Buffer((len(HEAD) + 1,), "int64", "work"),
    }
    if meet:
        slices = (2, degree.tensor, c.tokens, spec.hidden)
        table["slices"] = Buffer(slices, "float32", "shared", free=(2,))
        table["flags"] = Buffer((degree.tensor + 1, FLAGS), "int64", "shared")
        table["clock"] = Buffer((1,), "int64", "input")
        table["call"] = Buffer((1,), "int64", "input")
    if any(isinstance(fmt, RowFormat) for fmt in (q.layers, q.head)):
        table["wide"] = rows("work", max(c.tokens, c.rows), widest, dtype="float32")
    return table


ONLY_HEAD = {"select", "norm_f", "w_head", "f", "normed", "logits", "chosen", "head_ends"}
OF_HEAD = {
    *ONLY_HEAD, "sizes", "place", "x", "wide", "counters", "flags", "clock", "call",
}  # fmt: skip


def arguments(table: dict[str, Buffer], function: str) -> list[str]:
    """Names of the arguments of `layers` or `head`, in order."""
    if function == "head":
        shared = set() if "w_head" in table else {"w_embed"}
        return [name for name in table if name in OF_HEAD | shared]
    return [name for name in table if name not in ONLY_HEAD]


@dataclass(frozen=True)
class StepEmitter:
    """Emits the PrimFuncs of one model, for ranks of one degree on one CPU."""

    spec: DecoderSpec
    degree: Degree
    quantization: Quantization
    pages: Pages
    capacity: Capacity
    cpu: CPU

    @property
    def table(self) -> dict[str, Buffer]:
        """Every argument of both functions by name."""
        return buffers(self.spec, self.degree, self.quantization, self.pages, self.capacity)

    def variants(self, name: str) -> tuple[Variant, ...]:
        """The variants of the function `layers` or `head`."""
        q = self.quantization
        return variants(q.head if name == "head" else q.layers)

    def function(self, name: str) -> StepFunction:
        """What there is to know of a function of the step to run it."""
        return StepFunction(
            tuple(arguments(self.table, name)),
            tuple((one.most, f"{name}_{one.suffix}") for one in self.variants(name)),
            HEAD if name == "head" else LAYERS,
            "head_ends" if name == "head" else "ends",
        )

    def emit(self, name: str, variant: Variant) -> Any:
        """The PrimFunc of the function `layers` or `head`, for one row tile."""
        table = self.table
        with function(f"{name}_{variant.suffix}") as builder:
            args = {one: T.arg(one, declare(table[one])) for one in arguments(table, name)}
            names, blocks = (HEAD, 1) if name == "head" else (LAYERS, self.spec.layers)
            ends = args["head_ends" if name == "head" else "ends"]
            workers = self.capacity.workers
            queue = Queue(args["counters"], ends, names, blocks, self.cpu, workers)
            dots = (self.quantization.layers.dot, self.quantization.head.dot, self.pages.dot)
            meet = EXCHANGE_IR.replace("PAUSE", self.cpu.pause) if "flags" in args else ""
            with imported(meet, *(dot.code for dot in dots)), queue.launch():
                emitter = self._emitter(variant, queue, args)
                if name == "head":
                    self._head(emitter)
                else:
                    self._layers(emitter, args, table)
        return builder.get()

    def _emitter(self, variant: Variant, queue: Queue, args: dict[str, Expr]) -> Operators:
        views = {name: View(buffer) for name, buffer in args.items()}
        if "w_head" not in views:  # one with the embedding, or nothing that the layers read
            views["w_head"] = views["w_embed"]
        tokens = T.Bind(args["sizes"][0])
        place = {name: T.Bind(args["place"][at]) for at, name in enumerate(PLACE)}
        exchange = None
        if (shards := self.degree.tensor) > 1:
            exchange = Exchange(queue, views, shards, place["shard"], tokens)
        return Operators(
            self.spec,
            self.degree.local(self.spec),
            self.quantization,
            self.pages,
            queue,
            self.cpu.registers,
            tokens,
            variant.tile_rows,
            variant.prefetch,
            views,
            place,
            exchange,
        )

    def _layers(self, e: Operators, args: dict[str, Expr], table: dict[str, Buffer]) -> None:
        e.embed()
        with T.serial(0, e.place["layers"]) as layer, e.unless_over():
            own = {"layer": T.Bind(e.place["first_layer"] + layer), "state": layer}
            layered = {n: own[table[n].kind] for n in args if table[n].kind in own}
            e.b = {**e.b, **{name: View(args[name], at) for name, at in layered.items()}}
            e.queue.at(layer)
            e.normalise("norm_1", "a")
            e.qkv()
            Attention(e).emit()
            e.project_o(layer * MEETINGS + 1)
            e.normalise("norm_2", "a")
            MLP(e).emit(layer * MEETINGS + 2)

    def _head(self, e: Operators) -> None:
        e.normalise("norm_f", "f", select="select", keep="normed")
        Head(e).emit()
