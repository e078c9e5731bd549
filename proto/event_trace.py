"""Traces of processes in the Trace Event Format, which Chrome and Perfetto read, as one file on one
clock. Its fields: docs/trace_event.schema.json, after
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

Who records says when by its own monotonic clock, in seconds. Whoever writes the file knows how far
that clock is from its own.
"""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]
"""As the format has it, but that nobody has given it its `pid` yet."""
Args = Mapping[str, Any]
CHUNK = 500
"""Events that are written at once."""
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
    """What one process has recorded. Its events are written already, since there are many: whoever
    puts traces together need not read them, which would keep an event loop from all else."""

    name: str
    """As people are shown it: `worker w0, rank 1`."""
    pid: int
    """That its host knows it by, and its events have."""
    host: str
    clock: str
    """Processes of one clock have the same times."""
    chunks: tuple[bytes, ...] = ()
    """JSON of its events in order of time, some hundred in each, with commas between."""
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
    def of_this_process(
        cls,
        name: str,
        events: Iterable[Event],
        lanes: Mapping[str, str] | None = None,
        dropped: int = 0,
        most: int = 0,
    ) -> "ProcessTrace":
        """These events, on its own clock."""
        pid = os.getpid()
        chunks = tuple(chunks_of(sorted(events, key=in_order), pid, 0.0))
        host, clock = socket.gethostname(), own_clock()
        return cls(name, pid, host, clock, chunks, dict(lanes or {}), dropped, most)

    def as_bytes(self) -> bytes:
        """A line of all else, and one for each chunk."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "chunks"}
        return b"\n".join([json.dumps({**said, "chunks": len(self.chunks)}).encode(), *self.chunks])

    def seen_from(self, clock: str, far: ClockOffset) -> "ProcessTrace":
        """As whoever has this clock knows it; `far`: from it to the clock of the process that has
        handed this on. Nothing and no doubt where the two clocks are one."""
        if self.clock == clock:
            return replace(self, offset_s=0.0, error_s=0.0)
        offset, error = self.offset_s + far.offset_s, self.error_s + far.error_s
        return replace(self, offset_s=offset, error_s=error)


def traces_in(written: bytes) -> list[ProcessTrace]:
    """Those that were written by `as_bytes`, with line ends between."""
    lines, traces = iter(written.split(b"\n")), list[ProcessTrace]()
    for line in lines:
        said = json.loads(line)
        chunks = tuple(islice(lines, said.pop("chunks")))
        traces.append(ProcessTrace(**said, chunks=chunks))
    return traces


def chunks_of(events: Sequence[Event], pid: int, offset_s: float) -> Iterator[bytes]:
    """The events as this process's, so much later, in pieces that take some milliseconds each: no
    other thread runs while one is written."""
    for first in range(0, len(events), CHUNK):
        several = [
            {**event, "pid": pid, "ts": round(event["ts"] + offset_s * 1e6, 3)}
            for event in events[first : first + CHUNK]
        ]
        yield json.dumps(several)[1:-1].encode()


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
    """Something that others of its kind may overlap with, known by its id within its process (what
    is known globally is shown below no process); without an end it goes on. What has the same kind
    and id, and lies within it, is shown below it; whatever is around all else is to be named by the
    id."""
    begin = micros(begin_s)
    of = {"name": name, "cat": kind, "id2": {"local": id}, "tid": 0}
    first = {**of, "ph": "b", "ts": begin}
    yield {**first, "args": dict(args)} if args else first
    if end_s is not None:
        yield {**of, "ph": "e", "ts": max(micros(end_s), begin + LEAST_US)}


def mark(name: str, kind: str, id: str, at_s: float, args: Args | None = None) -> Event:
    """Something that happens to what has this kind and id."""
    of = {"name": name, "cat": kind, "id2": {"local": id}, "tid": 0}
    said = {**of, "ph": "n", "ts": micros(at_s)}
    return {**said, "args": dict(args)} if args else said


def micros(seconds: float) -> float:
    """To a thousandth of a microsecond."""
    return round(seconds * 1e6, 3)


def chrome_file(processes: Sequence[ProcessTrace], told: Mapping[str, Any] | None = None) -> bytes:
    """The file: all processes on one clock, one behind another. `told`: what else is said of it."""
    numbers = numbered(processes)
    pairs = list(zip(numbers, processes, strict=True))
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
        for number, one in pairs
    ]
    metadata = {
        "clock": "monotonic, of the first process",
        "unix_time_at_zero_s": round(time.time() - time.monotonic(), 6),
        "processes": facts,
        **(told or {}),
    }
    named = [
        json.dumps(event).encode()
        for order, (number, one) in enumerate(pairs)
        for event in names_of(one, number, order)
    ]
    chunks = [chunk for number, one in pairs for chunk in numbered_chunks(one, number)]
    head = json.dumps({"displayTimeUnit": "ms", "metadata": metadata})[:-1].encode()
    return b"".join((head, b', "traceEvents": [\n', b",\n".join(named + chunks), b"]}\n"))


def numbered_chunks(process: ProcessTrace, number: int) -> Iterator[bytes]:
    """Its events by this `pid`, on the file's clock: as they are, if that is so already."""
    if process.pid == number and not process.offset_s:
        yield from process.chunks
        return
    for chunk in process.chunks:
        yield from chunks_of(json.loads(b"[" + chunk + b"]"), number, process.offset_s)


def in_order(event: Event) -> tuple[float, int, float]:
    """By time; at the same time what ends comes before what begins, and what is inside before what
    is around it; of what begins what is around comes first."""
    around = event["name"] == event.get("id2", {}).get("local")
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
