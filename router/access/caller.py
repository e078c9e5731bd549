"""Who makes a call, and what came with it beside its body: the same for HTTP and gRPC.

The authentication in front of both APIs makes a Caller of the headers, before anything else is
read; whoever answers the call takes `caller()` and hands it on.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace

from raylax.proto.errors import Forbidden
from raylax.proto.vocabulary import Priority, Request
from raylax.router.observe.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Caller:
    """One call's origin. The defaults are somebody who reached a router without keys."""

    tenant: str = ""
    """The name of the API key."""
    share: float = 1.0
    admin: bool = False
    highest: Priority = Priority.HIGH
    """The class that it may ask for at most."""
    priority: Priority | None = None
    """What the header asks for, if it is there: it holds over a body's."""
    timeout_s: float | None = None
    request_id: str = ""
    """As the client named it, else ours."""
    span: TraceContext | None = None
    """Ours, of the call's trace."""
    limits_left: Callable[[], dict[str, str]] = dict
    """What is left of the key's limits now, as headers."""

    @property
    def traceparent(self) -> str:
        return "" if self.span is None else str(self.span)

    def require_admin(self, what: str) -> None:
        """Refuses what tells of everybody's prompts, or costs everybody time, to all but admins.
        Raises Forbidden."""
        if not self.admin:
            raise Forbidden(f"{what} needs an admin's API key, {self.tenant} is none")

    def soonest(self, *timeouts_s: float | None) -> float | None:
        """The smallest of the header's and these; None if there is none."""
        return min((t for t in (self.timeout_s, *timeouts_s) if t is not None), default=None)

    def mark(self, requests: Iterable[Request]) -> list[Request]:
        """The requests of a call as this caller's, of no higher class than the key may ask for."""
        return [
            replace(
                request,
                tenant=self.tenant,
                share=self.share,
                priority=max(self._asked(request), self.highest),
                deadline_s=self.soonest(request.deadline_s),
                traceparent=self.traceparent,
                tracestate="" if self.span is None else self.span.state,
            )
            for request in requests
        ]

    def _asked(self, request: Request) -> Priority:
        return request.priority if self.priority is None else self.priority

    def headers(self) -> dict[str, str]:
        """What goes back with every answer; as gRPC's trailing metadata, too."""
        ids = {"x-request-id": self.request_id, "traceparent": self.traceparent}
        return ids | self.limits_left()


CALLER: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The caller of the call that is being answered, as authentication has set it."""
    return CALLER.get()
