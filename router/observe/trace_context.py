"""W3C trace context: which trace a call belongs to, and which span of it is ours.

https://www.w3.org/TR/trace-context: what is malformed is as good as absent.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
UNKNOWN_VERSION = "ff"
SAMPLED = 1
MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
"""A member of a tracestate: the key of a system, or of one of its tenants, and what it keeps."""
MOST_MEMBERS = 32


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace."""

    trace_id: int
    span_id: int
    sampled: bool
    """Somebody records it."""
    parent_id: int = 0
    """The span above; 0: it is the first."""
    state: str = ""
    """What other systems keep with the trace, as the header `tracestate`."""

    def __str__(self) -> str:
        """The value of the header `traceparent`."""
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


def state_in(headers: Sequence[str]) -> str:
    """The state that all headers together say; empty if any of it is malformed."""
    members = [member for part in ",".join(headers).split(",") if (member := part.strip(" \t"))]
    found = [match for member in members if (match := MEMBER.fullmatch(member))]
    keys = {match[1] for match in found}
    return ",".join(members) if len(keys) == len(members) <= MOST_MEMBERS else ""


def our_span(
    parents: Sequence[str],
    states: Sequence[str],
    rng: random.Random,
    samples: Callable[[int], bool],
) -> TraceContext:
    """A new span below the caller's, or of a new trace if there is not just one well-formed;
    `samples`: whether that is recorded."""
    parent = parse(parents[0]) if len(parents) == 1 else None
    span_id = rng.randrange(1, 1 << 64)
    if parent is None:
        trace_id = rng.randrange(1, 1 << 128)
        return TraceContext(trace_id, span_id, samples(trace_id))
    return TraceContext(parent.trace_id, span_id, parent.sampled, parent.span_id, state_in(states))
