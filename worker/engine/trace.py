"""Events of requests for chrome://tracing, in a ring: old ones make room for new."""

import json
import os
import time
from collections import deque
from typing import Any

MOST_EVENTS = 100_000


class TraceRecorder:
    """What happened to requests, the last events of them. Any thread may add. An engine has none
    unless it is made with tracing."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=most)

    def add(self, request_id: str, event: str, traceparent: str = "") -> None:
        """Note an event of now, with the trace that it belongs to, if that is told."""
        now = time.monotonic_ns() // 1000
        instant = {"name": event, "ph": "i", "s": "t", "ts": now, "tid": request_id}
        args = {"args": {"trace_id": trace_id(traceparent)}} if traceparent else {}
        self._events.append({**instant, "pid": os.getpid(), **args})

    def events(self) -> list[dict[str, Any]]:
        """All of them in the Trace Event Format, which Chrome and Perfetto read."""
        return list(self._events)

    def dump_json(self) -> str:
        """The same as a file has them."""
        return json.dumps({"traceEvents": self.events()})


def trace_id(traceparent: str) -> str:
    """The trace's id in a W3C trace context: behind the two digits of its version."""
    return traceparent[3:35]
