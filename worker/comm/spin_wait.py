"""How a rank waits for memory to change.

It looks, then lets others run for half a millisecond, then sleeps, each time for an eighth of what
it has waited already and a millisecond at most. So a peer that is about to come is met at once, one
that computes for longer has the core for itself, and a long wait costs next to nothing.
"""

import os
import time
from collections.abc import Callable

YIELDING_S = 0.0005
LONGEST_SLEEP_S = 0.001
SLEPT_SHARE = 1 / 8


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition; whether it came true in time. What it raises passes."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        if waited > timeout_s:
            return False
        if waited < YIELDING_S:
            os.sched_yield()
        else:
            time.sleep(min(waited * SLEPT_SHARE, LONGEST_SLEEP_S))
    return True
