"""Arrivals to scale by: a recorded trace many times over, or a shape with a trace's lengths.

Copies of a recorded trace come a little later than the original, with lengths drawn anew: the
swings of its rate stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raylax.cluster.errors import UserError
from raylax.cluster.simulate.scaling.shapes import SHAPES, Reals, Shape
from raylax.cluster.simulate.trace import Arrival

RECORDED = "recorded"
CURVES = (RECORDED, *SHAPES)
COPIES, JITTER_S, SEED = 10, 5.0, 1
GRAIN_S = 0.5
"""Of a shape's rate."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Which arrivals. Raises UserError for one that nobody knows."""

    name: str = RECORDED
    copies: int = COPIES
    """Of a recorded trace."""
    jitter_s: float = JITTER_S
    """By which a copy's arrivals come later, at most."""

    def __post_init__(self) -> None:
        if self.name not in CURVES:
            raise UserError(f"--curve must be one of {', '.join(CURVES)}, found {self.name}")

    def requests(self, trace: Sequence[Arrival]) -> list[Arrival]:
        """In the order of their arrival. `trace`: whose lengths they have, and whose times if it is
        recorded."""
        if self.name == RECORDED:
            return amplified(trace, self.copies, self.jitter_s, SEED)
        return shaped(trace, SHAPES[self.name])


def amplified(trace: Sequence[Arrival], copies: int, jitter_s: float, seed: int) -> list[Arrival]:
    """Every arrival `copies` times."""
    rng, at = np.random.default_rng(seed), np.array([row.at for row in trace])
    times, picks = [], []
    for _ in range(copies):
        picks.append(rng.integers(0, len(trace), len(trace)))
        times.append(at + rng.uniform(0, jitter_s, len(trace)))
    return drawn(np.concatenate(times), np.concatenate(picks), trace)


def shaped(trace: Sequence[Arrival], shape: Shape) -> list[Arrival]:
    """Poisson arrivals."""
    rng, seconds = np.random.default_rng(shape.seed), np.arange(0, shape.seconds, GRAIN_S)
    counts = rng.poisson(shape.rate(seconds) * GRAIN_S)
    times = np.repeat(seconds, counts) + rng.uniform(0, GRAIN_S, counts.sum())
    return drawn(times, rng.integers(0, len(trace), len(times)), trace)


def drawn(times: Reals, picks: npt.NDArray[np.int64], trace: Sequence[Arrival]) -> list[Arrival]:
    """Arrivals at these times, with the lengths of those that were picked."""
    order = np.argsort(times, kind="stable")
    return [
        trace[pick]._replace(at=at)
        for at, pick in zip(times[order].tolist(), picks[order].tolist(), strict=True)
    ]
