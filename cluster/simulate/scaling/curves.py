"""Arrivals to scale by: a recorded trace many times over, or a shape with a trace's lengths.

Those of the study that the rule comes from, drawn in the same way. Copies of a recorded trace come
a little later than the original, with lengths drawn anew: the swings of its rate stay.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylax.cluster.simulate.trace import Arrival

Reals = npt.NDArray[np.float64]
COPIES, JITTER_S, SEED = 10, 5.0, 1
"""Of a recorded trace."""
Points = Sequence[tuple[float, float]]
"""Seconds, and requests a second then; straight lines between."""
STEPS: Points = (
    (0, 10), (599, 10), (600, 60), (1499, 60), (1500, 20), (2399, 20), (2400, 90), (3299, 90),
    (3300, 6), (4199, 6), (4200, 40), (5400, 40),
)  # fmt: skip
RAMP: Points = (
    (0, 5), (300, 5), (1500, 100), (2100, 100), (2700, 10), (3600, 10), (3900, 80), (4500, 80),
    (5400, 5),
)  # fmt: skip
FLAT: Points = ((0, 45), (3600, 45))
SHAPES: dict[str, tuple[Points, int]] = {"flat": (FLAT, 9), "steps": (STEPS, 6), "ramp": (RAMP, 7)}
"""And the seed of each."""
RECORDED = "recorded"
CURVES = (RECORDED, *SHAPES)


def requests_of(curve: str, trace: Sequence[Arrival]) -> list[Arrival]:
    """In the order of their arrival. `trace`: whose lengths they have, and whose times if it is
    `recorded`."""
    if curve == RECORDED:
        return amplified(trace, COPIES, JITTER_S, SEED)
    points, seed = SHAPES[curve]
    return shaped(trace, points, seed)


def amplified(trace: Sequence[Arrival], copies: int, jitter_s: float, seed: int) -> list[Arrival]:
    """Every arrival `copies` times."""
    rng, at = np.random.default_rng(seed), np.array([row.at for row in trace])
    times, picks = [], []
    for _ in range(copies):
        picks.append(rng.integers(0, len(trace), len(trace)))
        times.append(at + rng.uniform(0, jitter_s, len(trace)))
    return drawn(np.concatenate(times), np.concatenate(picks), trace)


def shaped(trace: Sequence[Arrival], points: Points, seed: int) -> list[Arrival]:
    """Poisson arrivals."""
    rng, (xs, ys) = np.random.default_rng(seed), zip(*points, strict=True)
    seconds = np.arange(0, xs[-1], 0.5)
    counts = rng.poisson(np.interp(seconds, xs, ys) * 0.5)
    times = np.repeat(seconds, counts) + rng.uniform(0, 0.5, counts.sum())
    return drawn(times, rng.integers(0, len(trace), len(times)), trace)


def drawn(times: Reals, picks: npt.NDArray[np.int64], trace: Sequence[Arrival]) -> list[Arrival]:
    """Arrivals at these times, with the lengths of those that were picked."""
    order = np.argsort(times, kind="stable")
    return [
        trace[pick]._replace(at=at)
        for at, pick in zip(times[order].tolist(), picks[order].tolist(), strict=True)
    ]
