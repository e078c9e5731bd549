"""Events of requests for chrome://tracing, in a ring: old ones make room for new."""

import json
import os
import time
from collections import deque
from typing import Any

MOST_EVENTS = 100_000


class TraceRecorder:
    """Off unless the engine is made with tracing. Any thread may add."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=most)

    def add(self, request_id: str, event: str, traceparent: str = "") -> None:
        """With the trace that the event belongs to, if it is told."""
        now = time.monotonic_ns() // 1000
        instant = {"name": event, "ph": "i", "s": "t", "ts": now, "tid": request_id}
        args = {"args": {"trace_id": trace_id(traceparent)}} if traceparent else {}
        self._events.append({**instant, "pid": os.getpid(), **args})

    def dump_json(self) -> str:
        """The Trace Event Format that Chrome and Perfetto read."""
        return json.dumps({"traceEvents": list(self._events)})


def trace_id(traceparent: str) -> str:
    """Of a W3C trace context: behind the two digits of its version."""
    return traceparent[3:35]
