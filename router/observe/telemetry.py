"""What a recorder of calls is told, each of them once: when it has ended, or was refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from raylax.proto.calls.call import Call
from raylax.router.observe.timeline import Timeline
from raylax.router.observe.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call, when it is over."""

    model: str
    call: Call
    timeline: Timeline
    span: TraceContext
    """Ours, of the call's trace."""
    failure: BaseException | None
    """What ended it early: an error, or its client's leaving."""


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that never began: nobody knew its caller, it broke a rule, or there was no room."""

    name: str
    """The method, by the name that its protocol has for it."""
    attributes: Mapping[str, str | int]
    """What OpenTelemetry wants to know of the protocol's calls."""
    span: TraceContext
    error_type: str
    message: str
    """The error's `rule`."""
    our_fault: bool
    took_s: float


class Telemetry(Protocol):
    """Records calls for a system that traces them."""

    def samples(self, trace_id: int) -> bool:
        """Whether a trace that begins here is recorded."""
        ...

    def record(self, ended: EndedCall) -> None:
        """Waits for nobody."""
        ...

    def refuse(self, refused: RefusedCall) -> None:
        """As `record`, for a call that has no timeline."""
        ...

    def close(self) -> None:
        """Sends what is left, which may take seconds."""
        ...


class NoTelemetry:
    """Records nothing, where nobody wants to know."""

    def samples(self, trace_id: int) -> bool:
        return False

    def record(self, ended: EndedCall) -> None:
        pass

    def refuse(self, refused: RefusedCall) -> None:
        pass

    def close(self) -> None:
        pass
