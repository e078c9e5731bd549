"""Rules beside ours, as they are published, with the settings that they come with.

- `thresholds`: one worker more when the mean KV use is above 0.8 or more than four requests wait
  for each; one less when nobody waits and the others would stay below 0.3.
- `ray-serve`: Ray Serve's default: two ongoing requests for each replica, averaged over 30 s; up
  after 30 s, down after 600 s (`ray.serve.config.AutoscalingConfig`).
- `hpa`: Kubernetes' HorizontalPodAutoscaler on 32 ongoing requests for each pod: every 15 s the
  ready ones times the ratio to the target, unless that is within a tenth; down to the highest of
  the last 300 s.
- `fixed`: always as many.
"""

import math
from collections import deque
from collections.abc import Callable

from raylax.cluster.autoscaling.means import Most
from raylax.cluster.autoscaling.rule import ScalingRule
from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.simulate.scaling.look import Look

Rule = Callable[[Look], int]
"""Workers that there should be, from what is seen; asked every EVERY_S."""


def formula(targets: Targets) -> Rule:
    """Ours."""
    rule = ScalingRule(targets)
    return lambda seen: rule.decide(seen.snapshot).choice


def fixed(workers: int) -> Rule:
    return lambda seen: workers


class Delayed:
    """A wish that has to last: so many seconds before more, and before less."""

    def __init__(self, up_s: float, down_s: float) -> None:
        self._up_s, self._down_s = up_s, down_s
        self._way, self._since = 0, 0.0

    def of(self, now: float, wish: int, target: int) -> int:
        """What is ordered."""
        way = (wish > target) - (wish < target)
        if way != self._way:
            self._way, self._since = way, now
        waited = now - self._since >= (self._up_s if way > 0 else self._down_s)
        return wish if way and waited else target


def thresholds(high_kv: float = 0.8, low_kv: float = 0.3, high_waiting: float = 4.0) -> Rule:
    """What raylax did before."""
    delayed = Delayed(up_s=2.0, down_s=60.0)

    def wanted(seen: Look) -> int:
        t = seen.snapshot
        if not seen.workers:
            return max(1, t.target)
        usage = sum(one.kv_usage for one in seen.workers) / len(seen.workers)
        waiting = (sum(one.waiting for one in seen.workers) + t.queued) / len(seen.workers)
        wish = t.target
        if usage > high_kv or waiting > high_waiting:
            wish += 1
        elif waiting == 0 and wish > 1 and usage * wish / (wish - 1) < low_kv:
            wish -= 1
        return delayed.of(t.now, max(t.least, min(wish, t.most)), t.target)

    return wanted


def ray_serve(ongoing: float = 2.0) -> Rule:
    """Its averages are of 30 s, and its errors are not smoothed."""
    delayed, seen_before = Delayed(up_s=30.0, down_s=600.0), deque[tuple[float, float]]()

    def wanted(seen: Look) -> int:
        t = seen.snapshot
        seen_before.append((t.now, seen.ongoing))
        while seen_before[0][0] < t.now - 30.0:
            seen_before.popleft()
        mean = sum(value for _, value in seen_before) / len(seen_before)
        return delayed.of(t.now, max(t.least, min(math.ceil(mean / ongoing), t.most)), t.target)

    return wanted


def hpa(ongoing: float = 32.0) -> Rule:
    """On a metric of the pods."""
    highest, asked = Most(), [-math.inf, 0.0]

    def wanted(seen: Look) -> int:
        t = seen.snapshot
        if t.now - asked[0] < 15.0:
            return t.target
        asked[0], pods = t.now, len(seen.workers)
        wish = t.target
        if pods:
            ratio = seen.ongoing / pods / ongoing
            wish = math.ceil(pods * ratio) if abs(ratio - 1) > 0.1 else pods
        wish = max(1, t.least, min(wish, t.most))
        most = highest.of(t.now, wish, 300.0)
        return wish if wish >= t.target else min(t.target, most)

    return wanted
