"""What a worker records for the autoscaler, which learns from it how many there should be."""

import time
from dataclasses import asdict
from pathlib import Path

from raylax.proto.vocabulary import Load

RECORDED = (
    "running", "waiting", "queued_tokens", "decoding", "context_tokens", "step_tokens",
    "cached_tokens", "ended", "ended_tokens",
)  # fmt: skip
"""Fields of its load."""
TICKS_S = 0.01
"""The kernel counts hundredths of seconds for user space, whatever its own clock."""


def scaling_stats(load: Load, start_s: float) -> dict[str, float]:
    """By name: of its load, its pace, and how long its start took."""
    fields = {name: float(getattr(load, name)) for name in RECORDED}
    pace = {f"pace_{name}": seconds for name, seconds in asdict(load.pace).items()}
    return {**fields, **pace, "start_s": start_s}


def process_age_s(stat: Path = Path("/proc/self/stat")) -> float:
    """Seconds since this process began, its imports included."""
    after_name = stat.read_text().rsplit(")", 1)[1].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) * TICKS_S
