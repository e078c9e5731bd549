"""Who makes a call, and what came with it beside its body: the same for HTTP and gRPC.

The authentication in front of both APIs makes a Caller of the headers, before anything else is
read; whoever answers the call takes `caller()` and hands it on.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from raylax.proto.errors import Forbidden
from raylax.proto.vocabulary import CallOrigin
from raylax.router.observe.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes one call. The defaults are somebody who reached a router without keys."""

    origin: CallOrigin = CallOrigin()
    """What its requests are made with; the tenant is the name of the API key."""
    admin: bool = False
    request_id: str = ""
    """The client's name for the call, or one that we gave it."""
    span: TraceContext | None = None
    """Our span in the call's trace. None: the call is not traced."""
    limits_left: Callable[[], dict[str, str]] = dict
    """What is left of the key's limits now, as headers."""

    @property
    def tenant(self) -> str:
        return self.origin.tenant

    @property
    def may_see_of(self) -> str | None:
        """The tenant whose calls it may look at; None: an admin, who may look at everybody's."""
        return None if self.admin else self.tenant

    @property
    def traceparent(self) -> str:
        return self.origin.traceparent

    def require_admin(self, what: str) -> None:
        """Raises Forbidden, with the name of `what` was asked for, to all but admins. They alone
        may see everybody's prompts and change the cluster."""
        if not self.admin:
            raise Forbidden(f"{what} needs an admin's API key, {self.tenant} is none")

    def headers(self) -> dict[str, str]:
        """The headers that go back with every answer; in gRPC, they are trailing metadata."""
        ids = {"x-request-id": self.request_id, "traceparent": self.traceparent}
        return ids | self.limits_left()


CALLER: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """The caller of the call that is being answered, as authentication has set it."""
    return CALLER.get()
