"""Rounds in which the targets take turns, at each load; medians over the rounds."""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import uvloop
from engines.cores import seconds_of
from engines.machine import busy_seconds

from routers.load import Ask, Tally, burst
from routers.targets import MODEL, Target

PROMPT = "hello " * 64
NOTHING = float("nan")


@dataclass(frozen=True)
class Load:
    """So many clients that ask for so many tokens: plain, as a stream, or as a long stream."""

    mode: str
    concurrency: int
    tokens: int

    @property
    def ask(self) -> Ask:
        return Ask(MODEL, self.tokens, PROMPT, self.mode != "plain")

    def suits(self, target: Target) -> bool:
        """Long streams are for our own bar: a slow rival would take minutes."""
        return self.mode != "long" or target.ours


LONG = Load("long", 64, 512)
"""Streams in which a request's own cost hardly counts."""


@dataclass(frozen=True)
class Sample:
    """What came of one burst. Times in milliseconds."""

    requests_per_s: float
    tokens_per_s: float
    p50: float
    p99: float
    first_p50: float
    """To the first token of a stream; of a plain answer, to its end."""
    cores: float
    """That the router kept busy."""
    others: float
    """That work of somebody else kept busy beside it."""

    @property
    def requests_per_core(self) -> float:
        return self.requests_per_s / self.cores if self.cores else NOTHING

    @property
    def tokens_per_core(self) -> float:
        return self.tokens_per_s / self.cores if self.cores else NOTHING


@dataclass
class Cell:
    """What one target does under one load, over all rounds."""

    samples: list[Sample] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def median(self, figure: str) -> float:
        return statistics.median([float(getattr(one, figure)) for one in self.samples])

    def added(self, figure: str, direct: "Cell") -> float:
        """To what the engines take when asked directly, round by round."""
        pairs = zip(self.samples, direct.samples, strict=True)
        more = [float(getattr(a, figure) - getattr(b, figure)) for a, b in pairs]
        return statistics.median(more)

    @property
    def others(self) -> float:
        return max(one.others for one in self.samples)


def rank(values: Sequence[float], share: float) -> float:
    """In milliseconds."""
    if not values:
        return NOTHING
    ordered = sorted(values)
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def burst_at(target: Target, load: Load, seconds: float) -> tuple[Sample, list[str]]:
    """Also what failed."""
    busy, own, router_s = busy_seconds(), seconds_of([os.getpid()]), target.cpu_s()
    begun = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(burst(target.urls, load.ask, load.concurrency, seconds))
    took = time.perf_counter() - begun
    cores = (target.cpu_s() - router_s) / took
    foreign = busy_seconds() - busy - (seconds_of([os.getpid()]) - own)
    return sample_of(tally, load.tokens, took, cores, max(0.0, foreign / took)), tally.errors


def sample_of(tally: Tally, tokens: int, took: float, cores: float, others: float) -> Sample:
    per_s = len(tally.took_s) / took
    return Sample(
        requests_per_s=per_s,
        tokens_per_s=per_s * tokens,
        p50=rank(tally.took_s, 0.5),
        p99=rank(tally.took_s, 0.99),
        first_p50=rank(tally.first_s, 0.5),
        cores=cores,
        others=others,
    )


Cells = dict[tuple[Load, str], Cell]


def measure_round(
    cells: Cells, targets: Sequence[Target], loads: Sequence[Load], seconds: float
) -> None:
    """At each load every target in its turn: one sample more for each cell."""
    for load in loads:
        for target in filter(load.suits, targets):
            sample, errors = burst_at(target, load, seconds)
            cell = cells.setdefault((load, target.name), Cell())
            cell.samples.append(sample)
            cell.errors += errors
