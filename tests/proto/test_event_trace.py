"""Traces of processes as one file."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import ValidationError

from raylax.proto.event_trace import (
    CHUNK,
    ClockOffset,
    Event,
    ProcessTrace,
    chrome_file,
    complete,
    instant,
    mark,
    own_clock,
    span,
    traces_in,
)
from tests.support.traces import checked, named, spans_of


def process(*events: Event, **facts: Any) -> ProcessTrace:
    made = ProcessTrace.of_this_process("engine", events, {"1": "thread"})
    return replace(made, **{"pid": os.getpid(), "host": "here", **facts})


def phases(file: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(e["ph"], e["name"], e["ts"]) for e in file["traceEvents"] if e["ph"] != "M"]


def test_what_is_around_begins_first_and_ends_last() -> None:
    """In whichever order it was recorded: at equal times, too."""
    events = [
        *span("queue", "request", "r", 1.0, 2.0),
        *span("decode", "request", "r", 2.0, 3.0),
        mark("preempted", "request", "r", 2.5),
        *span("r", "request", "r", 1.0, 3.0),
        complete("run", 1, 1.0, 1.5),
        complete("step", 1, 1.0, 2.0),
        instant("evict", 1, 2.0),
    ]
    file = checked(chrome_file([process(*events)]))

    assert phases(file) == [
        ("b", "r", 1e6), ("X", "step", 1e6), ("X", "run", 1e6), ("b", "queue", 1e6),
        ("e", "queue", 2e6), ("b", "decode", 2e6), ("i", "evict", 2e6),
        ("n", "preempted", 2.5e6), ("e", "decode", 3e6), ("e", "r", 3e6),
    ]  # fmt: skip
    assert spans_of(file, "r") == ["r", "queue", "decode", "preempted"]


def test_nothing_takes_no_time_at_all() -> None:
    """A span that ends when it begins would be shown as one that never does."""
    file = checked(chrome_file([process(*span("r", "request", "r", 1, 1), complete("x", 1, 1, 1))]))

    assert phases(file) == [("b", "r", 1e6), ("X", "x", 1e6), ("e", "r", 1e6 + 0.001)]


def test_what_goes_on_has_no_end() -> None:
    assert phases(checked(chrome_file([process(*span("r", "request", "r", 1.0, None))]))) == [
        ("b", "r", 1e6)
    ]


def test_all_processes_are_on_one_clock() -> None:
    """Each is moved by what its own clock is off, and the file says by how much, and how good that
    is."""
    late = process(instant("x", 1, 5.0), host="there", clock="another")
    moved = late.seen_from(own_clock(), ClockOffset(-3.5, 0.001))
    file = checked(chrome_file([process(instant("y", 1, 2.0), dropped=3, most=9), moved]))

    assert phases(file) == [("i", "x", 1.5e6), ("i", "y", 2e6)]
    first, second = file["metadata"]["processes"]
    assert (first["clock_offset_us"], first["clock_error_us"]) == (0, 0)
    assert (first["events_kept"], first["events_dropped"]) == (9, 3)
    assert (second["clock_offset_us"], second["clock_error_us"]) == (-3.5e6, 1000)


def test_what_was_moved_twice_may_be_wrong_twice() -> None:
    """As a rank, whose leader has a router. Where the clock is the same one, nothing is."""
    rank = replace(process(clock="rank"), offset_s=1.0, error_s=0.002)
    seen, same = (rank.seen_from(clock, ClockOffset(2.0, 0.001)) for clock in ("router", "rank"))

    assert (seen.offset_s, round(seen.error_s, 9)) == (3.0, 0.003)
    assert (same.offset_s, same.error_s) == (0.0, 0.0)


def test_processes_of_several_hosts_may_have_one_number() -> None:
    """In the file they have two, and are called what they are."""
    file = checked(chrome_file([process(), process(host="there", name="engine, rank 1")]))
    names = {event["pid"]: event["args"]["name"] for event in named(file, "process_name")}

    assert list(names.values()) == ["engine on here", "engine, rank 1 on there"]
    assert [one["process_id"] for one in file["metadata"]["processes"]] == [os.getpid()] * 2


def test_processes_come_back_from_what_was_written() -> None:
    """Several, in their order, with what their events hold; one may have none."""
    many = [complete("x\n", 1, float(at), at + 0.5, {"tokens": 3}) for at in range(2 * CHUNK + 1)]
    traces = [process(*many), process(), process(instant("y", 1, 1.0), name="engine, rank 1")]
    written = b"\n".join([one.as_bytes() for one in traces])

    assert traces_in(written) == traces
    assert [len(one.chunks) for one in traces] == [3, 0, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ph": "B"}, {"ts": -1.0}, {"ts": "1"}, {"dur": 0}, {"pid": "7"}, {"tid": "r"}, {"id": "r"},
        {"id2": {"local": "r"}}, {"name": ""}, {"ph": "b", "id2": {"local": "r"}}, {"s": "t"},
        {"more": 1}, {"ph": "i"}, {"args": []},
    ],
)  # fmt: skip
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    """What the format does not have, or has otherwise."""
    file = json.loads(chrome_file([process(complete("x", 1, 1.0, 2.0))]))
    file["traceEvents"][-1] |= wrong

    with pytest.raises(ValidationError):
        checked(json.dumps(file))
