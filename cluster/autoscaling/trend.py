"""How much more will come until a worker that is ordered now is ready."""

import math

from raylax.cluster.autoscaling.means import toward
from raylax.cluster.autoscaling.snapshot import Snapshot


class Trend:
    """Two means of different age lag behind a line by their ages, so that their difference is its
    slope, which counts as far as it exceeds its noise."""

    def __init__(self) -> None:
        self.young = 0.0
        """Workers' worth of work that comes: the mean of the shorter age."""
        self._old: float | None = None

    def growth(self, t: Snapshot, work: float, grain: float) -> float:
        """By what work grows within a start, from 1 on; out of nothing to 1.7. `work`: in workers,
        of this look; `grain`: its variance in a second."""
        short, long = max(10.0, t.start_s / 2), max(20.0, 1.5 * t.start_s)
        if self._old is None:
            self.young = self._old = work
        self.young = toward(self.young, work, t.dt, short)
        self._old = toward(self._old, work, t.dt, long)
        noise = math.sqrt(grain * (1 / (2 * short) + 1 / (2 * long))) / (long - short)
        slope = (self.young - self._old) / (long - short) - noise
        if slope <= 0:
            return 1.0
        return 1 + slope * (t.start_s + t.dt) / self.young
