"""Workers that end a backlog, beyond those that keep up with what comes."""

import math
from typing import NamedTuple

from raylax.cluster.autoscaling.snapshot import Snapshot, Targets

PRICE = 10.0
"""Of work that comes too late, in multiples of a worker's time."""
LEAST_START_S = 10.0


class Backlog(NamedTuple):
    """What waits for its prefill."""

    seconds: float
    """Until the workers that are ready have computed it, if nothing else came."""
    left: float
    """Worker-seconds of it when a worker that is ordered now is ready; 0: it is short enough."""


def backlog(t: Snapshot, targets: Targets, hit: float, length: float, prefill: float) -> Backlog:
    """`hit`: share of prompts found in pages; `length`: tokens of a mean context; `prefill`: tokens
    to compute that come in a second."""
    if not t.ready:
        return Backlog(0.0, 0.0)
    batch = t.decoding / t.ready
    room = max(t.step_tokens - batch, t.step_tokens / 8)
    speed = room / t.pace.seconds(room, batch, length * batch)
    tokens = t.todo + t.queued_tokens * (1 - hit)
    seconds = tokens / (t.ready * speed)
    if seconds <= targets.ttft_s / 2:
        return Backlog(seconds, 0.0)
    left = max(tokens, tokens + (prefill - t.ready * speed) * t.start_s) / speed
    return Backlog(seconds, min(left, targets.wait_limit_s * t.ready))


def drain(left: float, work: float, start_s: float) -> int:
    """How many: e of them cost e starts and end it in left/e, during which `work` comes too late;
    the sum of both is least at the root."""
    return math.ceil(math.sqrt(PRICE * work * left / max(LEAST_START_S, start_s)))
