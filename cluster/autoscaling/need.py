"""Work that comes, in workers: what arrives, times what a request takes at the learned pace."""

import math

from raylax.cluster.autoscaling.means import toward
from raylax.cluster.autoscaling.snapshot import Snapshot

AGE_S = 10.0
"""Of the mean of what comes."""
GRAIN_AGE_S = 60.0
ANSWERS, PROMPTS = 200.0, 100.0
"""Requests by which the mean answer, and the share found in pages, are learned."""
CONTEXT_AGE_S = 20.0
FIRST_ANSWER = 200.0
"""Tokens of an answer, before any has ended."""


class Demand:
    """What a model's requests are like, and how much work they bring."""

    def __init__(self) -> None:
        self.answer, self.hit, self.length = FIRST_ANSWER, 0.0, 0.0
        self.work = 0.0
        """Workers that would be busy all the time, a mean of AGE_S."""
        self.now = 0.0
        """The same, of the last look alone."""
        self.prefill = 0.0
        """Tokens to compute of the prompts that come in a second."""
        self.grain = 0.0
        """Variance of the work of a second, with arrivals as Poisson's."""

    def see(self, t: Snapshot) -> None:
        """Learn from a look."""
        if t.done:
            self.answer = toward(self.answer, t.done_out / t.done, t.done, ANSWERS)
        if t.prompt:
            self.hit = toward(self.hit, min(1.0, t.cached / t.prompt), t.arrived, PROMPTS)
        if t.decoding:
            mean = t.context / t.decoding
            self.length = toward(self.length or mean, mean, t.dt, CONTEXT_AGE_S)
        fresh = t.prompt * (1 - self.hit)
        decode_s = self.answer * (t.pace.c + t.pace.d * self.length)
        self.now = (t.pace.b * fresh + t.arrived * decode_s) / t.dt
        self.work = toward(self.work, self.now, t.dt, AGE_S)
        self.prefill = toward(self.prefill, fresh / t.dt, t.dt, AGE_S)
        if t.arrived:
            seen = self.now * self.now * t.dt / t.arrived
            self.grain = toward(self.grain or seen, seen, t.dt, GRAIN_AGE_S)

    @property
    def noise(self) -> float:
        """A standard deviation of `work`, in workers."""
        return math.sqrt(self.grain / (2 * AGE_S))


def need(work: float, growth: float, noise: float, usable: float) -> int:
    """Workers that take so much work, at least one. `usable`: share of each one's time."""
    return max(1, math.ceil((work * growth + noise) / usable))
