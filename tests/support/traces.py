"""Whether a trace is one: by its schema, and as whoever shows it puts it together."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.paths import ROOT

SCHEMA = ROOT / "docs" / "trace_event.schema.json"


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def checked(written: str | bytes) -> dict[str, Any]:
    """The file, which keeps the format's rules: each event has what it must, what a thread does
    lies one in another or one behind another, as what is known by one id, and those of a process
    are in order. Here all of them are, and have the local id as `id`."""
    file: dict[str, Any] = json.loads(written)
    validator().validate(file)
    events = [event for event in file["traceEvents"] if event["ph"] != "M"]
    for event in events:
        if "id2" in event:
            event["id"] = event["id2"]["local"]
    for pid in {event["pid"] for event in events}:
        times = [event["ts"] for event in events if event["pid"] == pid]
        assert times == sorted(times)
    events.sort(key=lambda event: event["ts"])
    file["traceEvents"] = [e for e in file["traceEvents"] if e["ph"] == "M"] + events
    named = {e["pid"] for e in file["traceEvents"] if e["name"] == "process_name"}
    told = {one["pid"] for one in file["metadata"]["processes"]}
    assert {event["pid"] for event in events} <= named == told
    check_threads(events)
    check_spans(events)
    return file


def check_threads(events: list[dict[str, Any]]) -> None:
    """Of two events of a thread one lies within the other, or they do not overlap."""
    ends: dict[tuple[int, int], list[float]] = {}
    for event in events:
        if event["ph"] == "X":
            around = ends.setdefault((event["pid"], event["tid"]), [])
            while around and around[-1] <= event["ts"] + 0.002:  # times are rounded
                around.pop()
            end = event["ts"] + event["dur"]
            assert not around or end <= around[-1] + 0.002, f"{event} ends behind {around[-1]}"
            around.append(end)


def check_spans(events: list[dict[str, Any]]) -> None:
    """Each end is that of what began last of its id; what has no end is around all that has."""
    open_: dict[tuple[Any, ...], list[str]] = {}
    for event in events:
        begun = open_.setdefault((event["pid"], event.get("cat"), event.get("id")), [])
        if event["ph"] == "b":
            begun.append(event["name"])
        elif event["ph"] == "e":
            assert begun and begun.pop() == event["name"], f"{event} ends what has not begun"
        elif event["ph"] == "n":
            assert begun, f"{event} is of nothing"


def spans_of(file: dict[str, Any], id: str) -> list[str]:
    """What happened to what has this id, in order."""
    return [
        event["name"]
        for event in file["traceEvents"]
        if event.get("id") == id and event["ph"] in "bn"
    ]


def named(file: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The events that begin something of this name, or are it."""
    return [e for e in file["traceEvents"] if e["name"] == name and e["ph"] != "e"]
