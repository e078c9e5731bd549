"""Who makes a call, and what came with it beside its body: the same for HTTP and gRPC.

The guards of both make a Caller of the headers, before anything else is read; whoever answers the
call takes `caller()` and hands it on.
"""

import random
import re
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import Enum

from raylax.proto.errors import Forbidden, InvalidRequest, Unauthenticated, shown
from raylax.proto.openai.shared import priority_of
from raylax.proto.vocabulary import Priority, Request
from raylax.router.access.keys import Key, Keyring
from raylax.router.access.rate_limits import Tenants
from raylax.router.observe.telemetry import Telemetry
from raylax.router.observe.trace_context import TraceContext, our_span

Headers = Callable[[str], list[str]]
"""All values of a header, whose name is in lower case."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
TIMEOUT, PRIORITY = "X-Request-Timeout", "X-Raylax-Priority"


class Need(Enum):
    """Of a key, to be let in."""

    NOTHING = 0
    ANY_KEY = 1
    ADMIN_KEY = 2


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
    left: Callable[[], dict[str, str]] = dict
    """Of what the key may use now, as headers."""

    @property
    def traceparent(self) -> str:
        return "" if self.span is None else str(self.span)

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
        return ids | self.left()


CALLER: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Of the call that is being answered. The guards have set it."""
    return CALLER.get()


class Entrance:
    """Makes a Caller of headers."""

    def __init__(
        self,
        keys: Keyring,
        tenants: Tenants,
        telemetry: Telemetry,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._keys, self._tenants, self.telemetry = keys, tenants, telemetry
        self._clock, self._rng = clock, rng

    def stranger(self, headers: Headers) -> Caller:
        """Of whom nothing is known yet; the answer to a refused call, too, has its ids."""
        (named, *_) = headers("x-request-id") or [""]
        request_id = named if REQUEST_ID.fullmatch(named) else f"req-{uuid.uuid4().hex}"
        parents, states = headers("traceparent"), headers("tracestate")
        span = our_span(parents, states, self._rng, self.telemetry.samples)
        return Caller(request_id=request_id, span=span)

    def known(self, stranger: Caller, headers: Headers, need: Need) -> Caller:
        """Raises Unauthenticated, Forbidden, or InvalidRequest for what a header may not say."""
        if need is Need.NOTHING:
            return stranger
        key = self._holder(headers)
        if need is Need.ADMIN_KEY and not key.admin:
            raise Forbidden(f"this needs an admin's API key, {key.name} is none")
        return replace(
            stranger,
            tenant=key.name,
            share=key.share,
            admin=key.admin,
            highest=key.priority,
            priority=priority_in(headers),
            timeout_s=timeout_in(headers),
            left=lambda: self._tenants.headers(key.name, self._clock()),
        )

    def _holder(self, headers: Headers) -> Key:
        if self._keys.open:
            return ANYBODY
        if (secret := secret_in(headers)) is None:
            raise Unauthenticated("an API key is needed: send it as Authorization: Bearer KEY")
        if (key := self._keys.find(secret)) is None:
            raise Unauthenticated("the API key given is not one of this cluster's")
        return key


ANYBODY = Key(name="", sha256="", admin=True, priority=Priority.HIGH)
"""Who reaches an open cluster: loopback, unless its owner wants otherwise."""


def secret_in(headers: Headers) -> str | None:
    """OpenAI's header, or Anthropic's."""
    for value in headers("authorization"):
        scheme, _, secret = value.partition(" ")
        if scheme.lower() == "bearer":
            return secret.strip()
    return next(iter(headers("x-api-key")), None)


def priority_in(headers: Headers) -> Priority | None:
    values = headers(PRIORITY.lower())
    if not values:
        return None
    try:
        return priority_of(values[-1].strip())
    except ValueError as error:
        raise InvalidRequest(
            f"{PRIORITY}: {error}, found {shown(values[-1])}", param=PRIORITY
        ) from None


def timeout_in(headers: Headers) -> float | None:
    values = headers(TIMEOUT.lower())
    if not values:
        return None
    try:
        seconds = float(values[-1])
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise InvalidRequest(
            f"{TIMEOUT}: must be seconds, more than 0, found {shown(values[-1])}", param=TIMEOUT
        )
    return seconds
