"""Traces of processes in the Trace Event Format, which Chrome and Perfetto read, as one file on one
clock. Its fields: docs/trace_event.schema.json, after
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

Who records says when by its own monotonic clock, in seconds. Whoever writes the file knows how far
that clock is from its own.
"""

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]
"""As the format has it, but that nobody has given it its `pid` yet."""
Args = Mapping[str, Any]
LEAST_US = 0.001
"""What has a beginning and an end lasts so long at least: they are told apart by their times."""
CLOCK = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/time")


class ClockOffset(NamedTuple):
    """How far another process's clock is from ours."""

    offset_s: float
    """To be added to what it says."""
    error_s: float
    """How wrong that may be, either way."""


@dataclass(frozen=True, slots=True)
class ProcessTrace:
    """What one process has recorded."""

    name: str
    """As people are shown it: `worker w0, rank 1`."""
    pid: int
    """That its host knows it by."""
    host: str
    clock: str
    """Processes of one clock have the same times."""
    now_s: float
    """What that said when this was written down."""
    events: list[Event]
    lanes: dict[str, str] = field(default_factory=dict)
    """What the `tid`s of its events are called."""
    dropped: int = 0
    """How many older events had to make room."""
    most: int = 0
    """How many it keeps."""
    offset_s: float = 0.0
    """From its clock to that of who asked for it."""
    error_s: float = 0.0
    """How wrong that may be, either way."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ProcessTrace":
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def seen_from(self, clock: str, far: ClockOffset) -> "ProcessTrace":
        """As whoever has this clock knows it; `far`: from it to the clock of the process that has
        handed this on. Nothing and no doubt where the two clocks are one."""
        if self.clock == clock:
            return replace(self, offset_s=0.0, error_s=0.0)
        offset, error = self.offset_s + far.offset_s, self.error_s + far.error_s
        return replace(self, offset_s=offset, error_s=error)


@cache
def own_clock() -> str:
    """The name of this process's monotonic clock: of a machine since its last start all processes
    have the same, but for those in a namespace of time."""
    try:
        return f"{CLOCK.read_text().strip()} {os.readlink(NAMESPACE)}"
    except OSError:
        return secrets.token_hex(16)  # nobody else's


def complete(name: str, tid: int, begin_s: float, end_s: float, args: Args | None = None) -> Event:
    """Something that a thread does from one time to another."""
    duration = max(LEAST_US, micros(end_s - begin_s))
    said = {"name": name, "ph": "X", "ts": micros(begin_s), "dur": duration, "tid": tid}
    return {**said, "args": dict(args)} if args else said


def instant(name: str, tid: int, at_s: float, args: Args | None = None) -> Event:
    """Something that happens on a thread."""
    said = {"name": name, "ph": "i", "s": "t", "ts": micros(at_s), "tid": tid}
    return {**said, "args": dict(args)} if args else said


def span(
    name: str, kind: str, id: str, begin_s: float, end_s: float | None, args: Args | None = None
) -> Iterator[Event]:
    """Something that others of its kind may overlap with, known by its id; without an end it goes
    on. What has the same kind and id, and lies within it, is shown below it; whatever is around
    all else is to be named by the id."""
    begin = micros(begin_s)
    of = {"name": name, "cat": kind, "id": id, "tid": 0}
    first = {**of, "ph": "b", "ts": begin}
    yield {**first, "args": dict(args)} if args else first
    if end_s is not None:
        yield {**of, "ph": "e", "ts": max(micros(end_s), begin + LEAST_US)}


def mark(name: str, kind: str, id: str, at_s: float, args: Args | None = None) -> Event:
    """Something that happens to what has this kind and id."""
    said = {"name": name, "cat": kind, "id": id, "tid": 0, "ph": "n", "ts": micros(at_s)}
    return {**said, "args": dict(args)} if args else said


def micros(seconds: float) -> float:
    """To a thousandth of a microsecond."""
    return round(seconds * 1e6, 3)


def chrome_file(
    processes: Sequence[ProcessTrace], told: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The file's content: all processes on one clock, in order of time. `told`: what else is said
    of it."""
    numbers = numbered(processes)
    named = [
        event
        for order, (number, process) in enumerate(zip(numbers, processes, strict=True))
        for event in names_of(process, number, order)
    ]
    events = [
        {**event, "pid": number, "ts": round(event["ts"] + process.offset_s * 1e6, 3)}
        for number, process in zip(numbers, processes, strict=True)
        for event in process.events
    ]
    events.sort(key=in_order)
    facts = [
        {
            "pid": number,
            "name": one.name,
            "host": one.host,
            "process_id": one.pid,
            "clock_offset_us": micros(one.offset_s),
            "clock_error_us": micros(one.error_s),
            "events_kept": one.most,
            "events_dropped": one.dropped,
        }
        for number, one in zip(numbers, processes, strict=True)
    ]
    metadata = {
        "clock": "monotonic, of the first process",
        "unix_time_at_zero_s": round(time.time() - time.monotonic(), 6),
        "processes": facts,
        **(told or {}),
    }
    return {"traceEvents": named + events, "displayTimeUnit": "ms", "metadata": metadata}


def in_order(event: Event) -> tuple[float, int, float]:
    """By time; at the same time what ends comes before what begins, and what is inside before what
    is around it; of what begins what is around comes first."""
    around = event["name"] == event.get("id")
    if event["ph"] == "e":
        return event["ts"], int(around), 0.0
    return event["ts"], 2 if around else 3, -event.get("dur", 0.0)


def numbered(processes: Iterable[ProcessTrace]) -> list[int]:
    """Each one's `pid` in the file: its own, unless that of one before it is the same, as may be on
    another host."""
    taken: dict[int, None] = {}
    for process in processes:
        number = process.pid
        while number in taken:
            number += 1 << 22  # Linux has none that large
        taken[number] = None
    return list(taken)


def names_of(process: ProcessTrace, number: int, order: int) -> Iterator[Event]:
    """What is shown of a process and its lanes: in the order in which they are given."""
    shown = {"ph": "M", "ts": 0, "pid": number, "tid": 0}
    name = f"{process.name} on {process.host}"
    yield {**shown, "name": "process_name", "args": {"name": name}}
    yield {**shown, "name": "process_sort_index", "args": {"sort_index": order}}
    for tid, lane in process.lanes.items():
        yield {**shown, "tid": int(tid), "name": "thread_name", "args": {"name": lane}}
