"""A plugin of pytest: the time of day is another hour each time that anybody looks.

It is loaded before anything of ours, also before what takes a clock as a default.
"""

import random
import time

HOUR_S = 3600
HOURS = (-48, -1, 0, 1, 48)
_rng, _now, _now_ns = random.Random(1), time.time, time.time_ns


def another_hour() -> float:
    return _now() + _rng.choice(HOURS) * HOUR_S


def another_hour_ns() -> int:
    return _now_ns() + _rng.choice(HOURS) * HOUR_S * 10**9


time.time, time.time_ns = another_hour, another_hour_ns
