"""Whole steps of an 8B model with random weights: decodes at 1k keys, prompts, and decodes with
weights of 4 bits. How long the device has nothing to do between decodes, too."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from floor import Floor, rounded
from machine import Machine, Mark
from part import Part
from pieces import PAGE, Piece, batch_of
from random_model import RandomModel

from raylax.kernels.cuda.device.stream import Graph, Stream
from raylax.kernels.cuda.formats import quantization_named
from raylax.kernels.cuda.formats.base import size
from raylax.kernels.model import StepBatch
from raylax.kernels.options import ModelOptions
from raylax.kernels.spec import DecoderSpec

BARS = {1: 200, 64: 8000, 256: 14000}
"""Tokens per second of so many sequences, of bf16 weights."""
PREFILL_BAR = 450
"""TFLOP/s of 2k tokens."""
PACKED_BAR = 2.5
"""Times as fast as bf16, of one sequence with weights of 4 bits."""
IDLE_BAR = 0.05


@dataclass(frozen=True)
class Sizes:
    keys: int
    batches: tuple[int, ...]
    packed: tuple[int, ...]
    prompts: tuple[int, ...]
    steps: int


FULL = Sizes(1024, (1, 8, 64, 256), (1, 8, 64), (2048, 8192), 32)
SMALL = Sizes(20, (1,), (1,), (24,), 2)
LOAD_S, NEEDS_S = 12.0, 3.0
"""What a model takes to be there, and a figure."""


def run(part: Part, machine: Machine) -> None:
    sizes, floor = SMALL if machine.small else FULL, Floor.of(part.so_far)
    tokens_s = dense(part, Steps(machine, floor, sizes, "q0bf16"))
    gc.collect()  # there may be no room for both
    packed(part, Steps(machine, floor, sizes, "q4f16_1"), tokens_s)
    gc.collect()
    if machine.kit.overlapped:
        overlapped(part, Steps(machine, floor, sizes, "q0bf16", overlap=True))


def dense(part: Part, steps: "Steps") -> float | None:
    """Tokens per second of one sequence, if they are known."""
    for batch, bar in zip(steps.sizes.batches, map(BARS.get, steps.sizes.batches), strict=True):
        decodes(part, steps, batch, bar, f"{bar} tok/s")
    for length in steps.sizes.prompts:
        part.figure(f"prefill {length} {steps.name}", lambda n=length: steps.prefill(n), NEEDS_S)
    before = part.so_far["figures"].get(f"decode 1 {steps.name}", {})
    return steps.tokens_s.get(1) or before.get("tok_s")


def packed(part: Part, steps: "Steps", tokens_s: float | None) -> None:
    """`tokens_s`: of bf16."""
    for batch in steps.sizes.packed:
        bar = PACKED_BAR * tokens_s if batch == 1 and tokens_s else None
        decodes(part, steps, batch, bar, f"{PACKED_BAR} times bf16, {bar or 0:.0f} tok/s")


def overlapped(part: Part, steps: "Steps") -> None:
    """The same as `dense`, but for prompts."""
    for batch in steps.sizes.packed:
        decodes(part, steps, batch, None, "")


def decodes(part: Part, steps: "Steps", batch: int, bar: float | None, said: str) -> None:
    """The figures of one batch."""
    needs_s = NEEDS_S + steps.loads_s
    part.figure(f"decode {batch} {steps.title}", lambda: steps.decode(batch, bar, said), needs_s)
    if batch in steps.idle_shares:
        part.figure(f"idle {batch} {steps.title}", lambda: steps.idle(batch))


class Steps:
    """Of one model."""

    def __init__(
        self, machine: Machine, floor: Floor, sizes: Sizes, quantization: str, overlap: bool = False
    ) -> None:
        """`overlap`: kernels are started before the one ahead of them has ended."""
        self.machine, self.floor, self.sizes, self.name = machine, floor, sizes, quantization
        self.title = f"{quantization} overlapped" if overlap else quantization
        self.spec, self._overlap = machine.kit.timed, overlap
        self.tokens_s, self.idle_shares = dict[int, float](), dict[int, float]()

    @property
    def loads_s(self) -> float:
        """Seconds until the model is there."""
        return 0.0 if "model" in self.__dict__ or self.machine.small else LOAD_S

    @cached_property
    def model(self) -> RandomModel:
        sizes = self.sizes
        longest = max(*sizes.prompts, sizes.keys + sizes.steps + 8)
        tokens, rows = max(256, *sizes.prompts), max(sizes.batches)
        options = ModelOptions(
            *(self.name, "auto", "cuda:0", None, 1, tokens, rows, longest),
            overlap_launches=self._overlap,
        )
        wanted = max(rows * self.pages_of(sizes.keys + sizes.steps + 8), self.pages_of(longest)) + 1
        return RandomModel(self.machine.kit, options, wanted)

    @cached_property
    def weight_bytes(self) -> int:
        """Of what a decode reads: all but the embedding."""
        s, q = self.spec, quantization_named(self.name, "bfloat16")
        return s.layers * sum(size(q.layers, *one) for one in matrices(s)) + size(
            q.head, s.padded_vocab, s.hidden
        )

    def pages_of(self, keys: int) -> int:
        """Pages of one sequence."""
        return -(-keys // PAGE)

    def decode(self, batch: int, bar: float | None, said: str) -> dict[str, Any]:
        """Steps of so many sequences at about 1k keys, as a worker submits them: each before the one
        ahead of it has ended. That they are planned is not counted."""
        each, keys = self.pages_of(self.sizes.keys + self.sizes.steps + 8), self.sizes.keys
        if batch * each > self.model.pages:
            raise MemoryError(
                f"{batch} sequences need {batch * each} pages, there is room for {self.model.pages}"
            )
        pages = [range(i * each, (i + 1) * each) for i in range(batch)]
        count = self.sizes.steps + 2
        made = [batch_of([Piece([7], keys + at, own) for own in pages]) for at in range(count)]
        for one in made[:2]:
            self.model.step(one)  # which captures the graph
        drawn = -1 - np.arange(batch, dtype=np.int32)
        with clocked() as busy:
            took = self._pace([one._replace(tokens=drawn) for one in made[2:]])
        step_s = median(took)
        self.tokens_s[batch] = batch / step_s
        self.idle_shares[batch] = max(0.0, 1 - median(map(Busy.seconds, busy)) / step_s)
        floor = self.floor.seconds(*self._work(batch, keys))
        told = {
            "tok_s": rounded(batch / step_s),
            "ms": rounded(step_s * 1e3),
            "of_floor": rounded(floor / step_s),
        }
        return told | ({"bar": said, "meets": batch / step_s >= bar} if bar else {})

    def _pace(self, batches: list[StepBatch]) -> list[float]:
        """Seconds from one step's end to the next one's, which was submitted before."""
        ends, pending = list[float](), self.model.submit(batches[0])
        for one in batches[1:]:
            later = self.model.submit(one)
            pending.output()
            ends.append(time.perf_counter())
            pending = later
        pending.output()
        ends.append(time.perf_counter())
        return [b - a for a, b in pairwise(ends)]

    def _work(self, batch: int, keys: int) -> tuple[float, float]:
        s = self.spec
        kv = s.layers * 4 * s.kv_heads * s.head_dim * keys * batch
        weights = (
            s.layers * sum(rows * depth for rows, depth in matrices(s)) + s.padded_vocab * s.hidden
        )
        attention = 4.0 * s.layers * s.heads * s.head_dim * keys
        return self.weight_bytes + kv, batch * (2.0 * weights + attention)

    def idle(self, batch: int) -> dict[str, Any]:
        """The share of a step in which the device has nothing to do: what is not the graph."""
        share = rounded(self.idle_shares[batch])
        return {"share": share, "bar": f"less than {IDLE_BAR}", "meets": share < IDLE_BAR}

    def prefill(self, length: int) -> dict[str, Any]:
        """A prompt in one step."""
        s, pages = self.spec, range(self.pages_of(length))
        pieces = batch_of([Piece([7] * length, 0, pages)])
        took = []
        for _ in range(1 if self.machine.small else 4):
            began = time.perf_counter()
            self.model.step(pieces)
            took.append(time.perf_counter() - began)
        step_s = min(took)
        layers = s.layers * sum(rows * depth for rows, depth in matrices(s))
        attention = 4.0 * s.layers * s.heads * s.head_dim * length * (length + 1) / 2
        operations = 2.0 * (layers * length + s.padded_vocab * s.hidden) + attention
        rate = operations / step_s / 1e12
        floor = self.floor.seconds(self.weight_bytes, operations)
        told = {
            "tok_s": rounded(length / step_s),
            "ms": rounded(step_s * 1e3),
            "TFLOP_s": rounded(rate),
            "of_floor": rounded(floor / step_s),
        }
        return told | (
            {"bar": f"{PREFILL_BAR} TFLOP/s", "meets": rate >= PREFILL_BAR}
            if length == 2048
            else {}
        )


def matrices(s: DecoderSpec) -> list[tuple[int, int]]:
    """(rows, inputs) of a layer's."""
    return [
        (s.qkv_rows, s.hidden),
        (s.hidden, s.heads * s.head_dim),
        (2 * s.intermediate, s.hidden),
        (s.hidden, s.intermediate),
    ]


class Busy(NamedTuple):
    """When a graph began and ended on the device."""

    begin: Mark
    end: Mark

    def seconds(self) -> float:
        """When it has ended."""
        return self.begin.seconds_to(self.end)


@contextmanager
def clocked() -> Iterator[list[Busy]]:
    """Every graph that is replayed meanwhile, with marks before and behind it."""
    plain, seen = Graph.replay, list[Busy]()

    def replay(graph: Graph, stream: Stream) -> None:
        busy = Busy(Mark(stream), Mark(stream))
        busy.begin.set()
        plain(graph, stream)
        busy.end.set()
        seen.append(busy)

    Graph.replay = replay  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        Graph.replay = plain  # type: ignore[method-assign]
