"""What the ranks of an engine in other processes have recorded, as the leader's clock has it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from raylax.proto.event_trace import ClockOffset, ProcessTrace, own_clock, traces_in

ROUNDS = 5
"""In which clocks are read; the quickest one tells most."""
CallRanks = Callable[[str], Sequence[Any]]
"""A registered debug function by its name, on every rank; what each of them says."""


def traces_of_others(call: CallRanks, name: str) -> list[ProcessTrace]:
    """Of all ranks but the leader, whose name this is; those that have nothing to say are left
    out. Raises what `call` does."""
    said = call("raylax.debug.traced")[1:]
    traces = [traces_in(one)[0] if one and isinstance(one, bytes) else None for one in said]
    if all(one is None or one.clock == own_clock() for one in traces):
        offsets = [ClockOffset(0.0, 0.0)] * len(traces)
    else:
        offsets = clock_offsets(call)
    return [
        replace(one.seen_from(own_clock(), offset), name=f"{name}, {one.name}")
        for one, offset in zip(traces, offsets, strict=True)
        if one is not None
    ]


def clock_offsets(
    call: CallRanks, clock: Callable[[], float] = time.monotonic
) -> list[ClockOffset]:
    """Of each rank but the leader: a clock was read some time while it was asked for."""
    best: list[ClockOffset] = []
    for _ in range(ROUNDS):
        asked = clock()
        said = call("raylax.debug.clock")[1:]
        error = (clock() - asked) / 2
        if not best or error < best[0].error_s:
            best = [ClockOffset(asked + error - float(one), error) for one in said]
    return best
