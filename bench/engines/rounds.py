"""Rounds in which the engines take turns, so that a change of the machine meets all of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engines.base import Engine, Load, Measurement
from engines.machine import busy_core, busy_seconds

SHORT = 32


@dataclass(frozen=True)
class Sample:
    """One measurement, and how many cores' worth of others' work ran beside it."""

    found: Measurement
    others: float


@dataclass(frozen=True)
class Cell:
    """What one engine does under one load, over all rounds."""

    samples: list[Sample]

    @property
    def tokens_per_s(self) -> float:
        return statistics.median(sample.found.tokens_per_s for sample in self.samples)

    @property
    def peak_mb(self) -> float:
        return max(sample.found.peak_mb for sample in self.samples)

    @property
    def others(self) -> float:
        return max(sample.others for sample in self.samples)


def sample(engine: Engine, load: Load, rivals_cpu_s: Callable[[], float]) -> Sample:
    busy, rival, begun = busy_seconds(), rivals_cpu_s(), time.perf_counter()
    found = engine.measure(load)
    took = time.perf_counter() - begun
    foreign = busy_seconds() - busy - found.cpu_s - (rivals_cpu_s() - rival)
    return Sample(found, max(0.0, foreign / took))


def alone(engine: Engine, load: Load) -> Sample:
    return sample(engine, load, lambda: 0.0)


def beside_a_rival(engine: Engine, load: Load) -> Sample:
    with busy_core() as cpu_s:
        return sample(engine, load, cpu_s)


def measure(
    engines: Sequence[Engine], load: Load, rounds: int, how: Callable[..., Sample] = alone
) -> list[Cell]:
    """A cell for each engine."""
    taken = [[how(engine, load) for engine in engines] for _ in range(rounds)]
    return [Cell(list(column)) for column in zip(*taken, strict=True)]


def kept(engines: Sequence[Engine], load: Load) -> list[float]:
    """The share of its speed that each engine keeps beside a rival.

    Once, and with short answers: an engine whose threads wait for each other may come to a crawl.
    """
    short = replace(load, answer=min(load.answer, SHORT))
    free, taken = (measure(engines, short, 1, how) for how in (alone, beside_a_rival))
    pairs = zip(free, taken, strict=True)
    return [beside.tokens_per_s / by_itself.tokens_per_s for by_itself, beside in pairs]
