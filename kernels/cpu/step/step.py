"""The step of a decoder as two functions: all layers, and the head. Each is one launch.

Two, because the layers run over the step's tokens and the head over the few rows that are sampled;
each comes in variants by row tile, and every variant gives the same bits. Which part of the model
a rank computes is an argument: all ranks run the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats import Quantization
from raylax.kernels.cpu.formats.base import Format
from raylax.kernels.cpu.program import (
    ALL_KEYS,
    MEETINGS,
    Buffer,
    StepFunction,
    is_large,
)
from raylax.kernels.cpu.step.attend import Attention
from raylax.kernels.cpu.step.buffers import PLACE, Capacity, buffers, operators
from raylax.kernels.cpu.step.emitter import View
from raylax.kernels.cpu.step.fusing import Fusing
from raylax.kernels.cpu.step.head import Head
from raylax.kernels.cpu.step.medusa import residual_blocks
from raylax.kernels.cpu.step.mlp.dense import MLP
from raylax.kernels.cpu.step.mlp.experts import MixtureOfExperts
from raylax.kernels.cpu.step.operators import Operators
from raylax.kernels.cpu.step.pages import Pages
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Expr, function, imported
from raylax.kernels.cpu.tir.exchange import EXCHANGE_IR, Exchange
from raylax.kernels.cpu.tir.queue import Queue
from raylax.kernels.families.weight_table import weights_in
from raylax.kernels.shards import Degree
from raylax.kernels.spec import DecoderSpec, Experts, Local, Rope


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


def variants(formats: Sequence[Format]) -> tuple[Variant, ...]:
    """The variants of a function whose products are of these formats, by rising `most`."""
    rows = min(fmt.tile_rows for fmt in formats)
    few = (Variant(4, 4, True),) if rows > 4 else ()
    last = Variant(rows, 64, True), Variant(rows, MANY, False)
    return Variant(1, 1, True), *few, *last


def declare(buffer: Buffer) -> Expr:
    """A buffer as an argument of a function that is being emitted."""
    sizes = [T.int32() if axis in buffer.free else n for axis, n in enumerate(buffer.shape)]
    return T.buffer(sizes, buffer.dtype)


ONLY_HEAD = {
    "select", "norm_f", "norm_f_bias", "w_head", "b_head", "f", "normed", "logits", "chosen",
    "head_ends",
}  # fmt: skip
OF_HEAD = {
    *ONLY_HEAD, "sizes", "place", "x", "wide", "counters", "flags", "clock", "call",
}  # fmt: skip


ONLY_FEATURES = {"tapped", "norm_base", "feature_ends"}
OF_FEATURES = {*ONLY_FEATURES, "w_fc", "p", "x", "wide", "sizes", "place", "counters"}
ENDS = {"layers": "ends", "head": "head_ends", "features": "feature_ends", "heads": "ends"}


def arguments(table: dict[str, Buffer], function: str) -> list[str]:
    """Names of the arguments of a function, in order."""
    match function:
        case "head":
            shared = set() if "w_head" in table else {"w_embed"}
            return [name for name in table if name in OF_HEAD | shared]
        case "features":
            return [name for name in table if name in OF_FEATURES]
        case "heads":
            return list(table)
    return [name for name in table if name not in ONLY_HEAD | ONLY_FEATURES]


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

    @property
    def functions(self) -> tuple[str, ...]:
        """Of a model `layers` and `head`; of a draft head `features`, too; of Medusa's `heads`."""
        if self.spec.blocks is not None:
            return ("heads",)
        return ("features", "layers", "head") if self.spec.fusion else ("layers", "head")

    def variants(self, name: str) -> tuple[Variant, ...]:
        """The variants of a function."""
        return variants(self.quantization.of(name))

    def function(self, name: str) -> StepFunction:
        """What there is to know of a function of the step to run it."""
        variants = self.variants(name)
        return StepFunction(
            tuple(arguments(self.table, name)),
            tuple((one.most, f"{name}_{one.suffix}") for one in variants),
            variants[-1].tile_rows,
            self.operators(name),
            ENDS[name],
        )

    def operators(self, name: str) -> tuple[str, ...]:
        """Those of a function, in the order in which they run."""
        return operators(name, self.spec, self.capacity)

    @property
    def essence(self) -> "StepEmitter":
        """What emits the same code and knows nothing else: a library is named by it, and emitted by
        it, so that models, stages, capacities, numbers of threads and windows share one."""
        spec = replace(
            self.spec,
            architecture="",
            layers=1,
            rope=Rope(0),
            max_positions=0,
            norm_eps=float(np.float32(self.spec.norm_eps)),  # as it is computed, and kept in GGUF
            window=min(1, self.spec.window),
            sinks=min(1, self.spec.sinks),
            local=self.spec.local and Local((), 0, Rope(0)),
            norm_offset=0.0,
            in_gguf=False,
            headless=False,
            learned_positions=min(1, self.spec.learned_positions),
        )
        if spec.experts and spec.experts.dense:
            spec = replace(spec, layers=2, experts=replace(spec.experts, dense=(0,)))
        degree = Degree(self.degree.tensor)
        capacity = Capacity(1, 1, 1, 1, min(1, self.capacity.taps))
        return replace(self, spec=spec, degree=degree, capacity=capacity)

    def emit(self, name: str, variant: Variant) -> Any:
        """The PrimFunc of a function, for one row tile."""
        return self.essence._emit(name, variant)

    def _emit(self, name: str, variant: Variant) -> Any:
        table = self.table
        with function(f"{name}_{variant.suffix}") as builder:
            args = {one: T.arg(one, declare(table[one])) for one in arguments(table, name)}
            queue = Queue(args["counters"], args[ENDS[name]], self.operators(name), self.cpu)
            dots = *(fmt.dot for fmt in self.quantization.formats.values()), self.pages.dot
            meet = EXCHANGE_IR.replace("PAUSE", self.cpu.pause) if "flags" in args else ""
            with imported(meet, *(dot.code for dot in dots)), queue.launch():
                emitter = self._emitter(variant, queue, args)
                match name:
                    case "head":
                        self._head(emitter)
                    case "features":
                        Fusing(emitter).features()
                    case "heads":
                        self._heads(emitter, args, table)
                    case _:
                        self._layers(emitter, args, table)
        return builder.get()

    def _emitter(self, variant: Variant, queue: Queue, args: dict[str, Expr]) -> Operators:
        table = self.table
        views = {name: View(one, large=is_large(name, table[name])) for name, one in args.items()}
        if "w_head" not in views and "w_embed" in views:
            # one with the embedding, or nothing that the layers read
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
        if self.spec.fusion:
            Fusing(e).begin()
        else:
            e.embed()
        with T.serial(0, e.place["layers"]) as layer, e.unless_over():
            own = {"layer": T.Bind(e.place["first_layer"] + layer), "state": layer}
            layered = {n: own[table[n].kind] for n in args if table[n].kind in own}
            e.b = {**e.b, **{n: View(args[n], at, large=True) for n, at in layered.items()}}
            e.queue.at(layer)
            if self.capacity.taps:
                e.tap("tap", own["layer"])
            if self.spec.local:
                self._attend_as(own["layer"], e, args)
            before = self.spec.norm_before
            if not self.spec.fusion:
                e.normalise("norm_1" if before else None, "a", name="norm_1")
            second = "norm_1" if self.spec.shared_norm else "norm_2"
            if self.spec.parallel:
                e.normalise(second if before else None, "m", name="norm_2")
            e.qkv()
            if self.spec.qk_norm == "whole":
                e.norm_qk()
            Attention(e).emit()
            e.project_o(layer * MEETINGS + 1)
            meeting = layer * MEETINGS + 2
            if self.spec.experts:
                e.b["counts"] = View(args["counts"], layer)
                self._expert_or_dense(self.spec.experts, second, own["layer"], meeting, e, args)
            else:
                if not self.spec.parallel:
                    e.normalise(second if before else None, "m", name="norm_2")
                MLP(e).emit(meeting)
            if self.capacity.taps:
                with T.If(own["layer"] == args["tap_at"].shape[0] - 2), T.Then():
                    e.tap("last_tap", own["layer"] + 1)

    def _expert_or_dense(
        self, experts: Experts, norm: str, layer: Expr, meeting: Expr, e: Operators,
        args: dict[str, Expr],
    ) -> None:  # fmt: skip
        """What stands behind attention: experts, or in `dense` layers an MLP that is alone."""
        if not experts.dense:
            return self._experts(norm, meeting, e)
        kind, number = (T.Bind(args["dense"][layer, at]) for at in range(2))
        some = [one.name for one in weights_in(self.spec) if one.layers is not None]
        e.b = {**e.b, **{name: View(args[name], number, large=True) for name in some}}
        with T.If(kind == 0):
            with T.Then():
                self._experts(norm, meeting, e)
            with T.Else():
                e.normalise(norm if self.spec.norm_before else None, "dm", name="norm_2")
                MLP(e, dense=True).emit(meeting)

    def _experts(self, norm: str, meeting: Expr, e: Operators) -> None:
        e.keep_normed(norm, "n", "m" if self.spec.intermediate else None)
        MixtureOfExperts(e).emit(meeting)
        if self.spec.intermediate:
            MLP(e).emit(meeting)

    def _attend_as(self, layer: Expr, e: Operators, args: dict[str, Expr]) -> None:
        """Chooses the rotary embedding and the window of a layer."""
        local, layers = args["local"], args["local"].shape[0] - 1
        kind = T.Bind(local[layer])
        e.b = {**e.b, **{name: View(args[name], kind) for name in ("cos", "sin")}}
        others = args["sizes"][3] if self.spec.window else T.int32(ALL_KEYS)
        e.window = T.Bind(T.Select(kind == 1, local[layers], others))

    def _heads(self, e: Operators, args: dict[str, Expr], table: dict[str, Buffer]) -> None:
        own = [n for n in args if table[n].kind == "layer" or n in ("logits", "chosen")]
        with T.serial(0, T.Bind(args["sizes"][1])) as head:
            e.b = {**e.b, **{n: View(args[n], head, large=True) for n in own}}
            e.queue.at(head)
            source = residual_blocks(e, self.spec.blocks or 0)
            e.normalise(None, "f", name="norm_f", source=source)
            Head(e).emit()

    def _head(self, e: Operators) -> None:
        fusion = self.spec.fusion
        normed = fusion is None or "norm_f" in fusion.norms
        weight = "norm_f" if normed else None
        e.normalise(weight, "f", select="select", keep="normed", name="norm_f")
        Head(e).emit()
