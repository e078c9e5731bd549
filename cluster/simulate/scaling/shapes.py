"""Rates of arrivals over time, those of the study that the rule comes from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
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
HOUR_S = 3600.0
DAY_SPEED = 6
"""A day's curve runs so much faster than a day."""


class Shape(NamedTuple):
    """A rate, for so long."""

    rate: Callable[[Reals], Reals]
    """Requests a second, at these seconds."""
    seconds: float
    seed: int
    """Of the arrivals that are drawn by it."""


def between(points: Points) -> Callable[[Reals], Reals]:
    """Straight lines."""
    xs, ys = zip(*points, strict=True)
    return lambda seconds: np.interp(seconds, xs, ys)


def bursts(seed: int, until: float) -> Points:
    """Nobody for 20 s to 40 minutes, then minutes of chat."""
    rng, points, at = np.random.default_rng(seed), [(0.0, 0.0)], 60.0
    while at < until:
        long, high = rng.uniform(60, 420), rng.uniform(0.5, 12)
        points += [(at, 0.0), (at + 2, high), (at + long, high), (at + long + 2, 0.0)]
        at += long + np.exp(rng.uniform(np.log(20), np.log(2400)))
    return points


def day(seconds: Reals) -> Reals:
    """Most before noon, and less in the afternoon and in the evening."""
    hour = seconds / HOUR_S * DAY_SPEED % 24
    rate = np.full_like(seconds, 8)
    for at, high, wide in ((11, 52, 8), (16, 44, 6), (21, 22, 4)):
        rate += high * np.exp(-((hour - at) ** 2) / wide)
    return rate


def spikes(seconds: Reals) -> Reals:
    """Ten times as much within 10 s, for three minutes, three times."""
    rate = np.full_like(seconds, 6)
    for begin in (900, 2400, 4200):
        rate += 54 * np.clip(np.minimum(seconds - begin, begin + 200 - seconds) / 10, 0, 1)
    return rate


SHAPES = {
    "flat": Shape(between(FLAT), 3600, 9),
    "steps": Shape(between(STEPS), 5400, 6),
    "ramp": Shape(between(RAMP), 5400, 7),
    "spike": Shape(spikes, 6000, 8),
    "idle": Shape(between(bursts(10, 6 * HOUR_S)), 6 * HOUR_S, 11),
    "daycurve": Shape(day, 12 * HOUR_S, 12),
}
