"""W3C trace context: which trace a call belongs to, and which span of it is ours.

https://www.w3.org/TR/trace-context: what is malformed is as good as absent.
"""

import random
import re
from dataclasses import dataclass

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
UNKNOWN_VERSION = "ff"
SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace."""

    trace_id: int
    span_id: int
    sampled: bool

    def __str__(self) -> str:
        """As the header `traceparent`."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"


def parse(traceparent: str) -> TraceContext | None:
    """The caller's span; None if the header is malformed."""
    found = TRACEPARENT.fullmatch(traceparent.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == UNKNOWN_VERSION or (more and version == "00"):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    return TraceContext(trace, span, bool(int(flags, 16) & SAMPLED)) if trace and span else None


def our_span(parents: list[str], rng: random.Random) -> TraceContext:
    """A new span below the caller's, or of a new trace if there is not just one well-formed."""
    parent = parse(parents[0]) if len(parents) == 1 else None
    span_id = rng.randrange(1, 1 << 64)
    if parent is None:
        return TraceContext(rng.randrange(1, 1 << 128), span_id, sampled=False)
    return TraceContext(parent.trace_id, span_id, parent.sampled)
