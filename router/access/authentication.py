"""How a caller is found out: by the headers of a call and the keys of the cluster."""

import random
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum

from raylax.proto.errors import InvalidRequest, Overloaded, Unauthenticated, shown
from raylax.proto.openai.shared import priority_of
from raylax.proto.shares import Shares
from raylax.proto.vocabulary import CallOrigin, Priority
from raylax.router.access.caller import Caller
from raylax.router.access.durations import positive_seconds
from raylax.router.access.keys import Key, Keyring
from raylax.router.access.rate_limits import RateLimiter
from raylax.router.access.refusals import RefusalLog
from raylax.router.observe.telemetry import Telemetry
from raylax.router.observe.trace_context import our_span

Headers = Callable[[str], list[str]]
"""Gives all values of a header by its name, which is in lower case."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MOST_OPEN = 8192
"""Calls that are being read, run or written, those included that only go on with a stream or ask
how things stand. Each tenant has a part."""
RETRY_AFTER_S = 1.0
TIMEOUT, PRIORITY = "X-Request-Timeout", "X-Raylax-Priority"


class AccessLevel(Enum):
    """What kind of API key somebody needs to be let in."""

    PUBLIC = 0
    ANY_KEY = 1
    ADMIN_KEY = 2


class Authenticator:
    """Makes a Caller of a call's headers."""

    def __init__(
        self,
        keys: Keyring,
        rate_limiter: RateLimiter,
        telemetry: Telemetry,
        clock: Callable[[], float],
        rng: random.Random,
        share_prefixes: bool = False,
    ) -> None:
        """`share_prefixes`: whether tenants find each other's pages."""
        self._keys, self._rate_limiter, self.telemetry = keys, rate_limiter, telemetry
        self._clock, self._rng, self.refusals = clock, rng, RefusalLog(clock)
        self._share_prefixes = share_prefixes
        self._open = Shares(MOST_OPEN, keys.share_of)

    @property
    def open(self) -> bool:
        """Whether nobody is asked for a key."""
        return self._keys.open

    def identify(self, headers: Headers) -> Caller:
        """The caller by its ids alone, before its key is looked at: the answer to a refused call
        has them, too."""
        (named, *_) = headers("x-request-id") or [""]
        request_id = named if REQUEST_ID.fullmatch(named) else f"req-{uuid.uuid4().hex}"
        parents, states = headers("traceparent"), headers("tracestate")
        span = our_span(parents, states, self._rng, self.telemetry.samples)
        origin = CallOrigin(traceparent=str(span), tracestate=span.state)
        return Caller(origin, request_id=request_id, span=span)

    def authenticate(self, identified: Caller, headers: Headers, level: AccessLevel) -> Caller:
        """The caller with all that its key says. Raises Unauthenticated, Forbidden, or
        InvalidRequest for what a header may not say."""
        if level is AccessLevel.PUBLIC:
            return identified
        holder = self._with_key(identified, self._holder(headers))
        if level is AccessLevel.ADMIN_KEY:
            holder.require_admin("this")
        priority, timeout_s = priority_in(headers), timeout_in(headers)
        origin = replace(holder.origin, priority=priority, timeout_s=timeout_s)
        return replace(holder, origin=origin)

    def on_behalf_of(self, tenant: str, request_id: str) -> Caller | None:
        """The caller of what somebody has left to be asked, in the lowest class. None while they
        have no key."""
        key = ANYBODY if self.open and not tenant else self._keys.named(tenant)
        if key is None:
            return None
        left = Caller(CallOrigin(priority=Priority.LOW), request_id=request_id)
        return self._with_key(left, key)

    def _with_key(self, identified: Caller, key: Key) -> Caller:
        origin = replace(
            identified.origin,
            tenant=key.name,
            share=key.share,
            highest=key.priority,
            pages_within="" if self._share_prefixes else key.name,
        )
        return replace(
            identified,
            origin=origin,
            admin=key.admin,
            limits_left=lambda: self._rate_limiter.headers(key.name, self._clock()),
        )

    @contextmanager
    def visit(self, caller: Caller, level: AccessLevel) -> Iterator[None]:
        """Counts a call that may come in, before anything of it is read: as a request of its key,
        and while the block runs as one that is open. Raises RateLimited and Overloaded."""
        if level is AccessLevel.PUBLIC:
            yield
            return
        self._rate_limiter.enter(caller.tenant, self._clock())
        if not self._open.take(caller.tenant, 1):
            raise Overloaded(
                f"a router has at most {self._open.total} calls open, whatever they ask; there is "
                f"no room for more than {self._open.held(caller.tenant)} of yours",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            yield
        finally:
            self._open.give_back(caller.tenant, 1)

    def _holder(self, headers: Headers) -> Key:
        if self._keys.open:
            return ANYBODY
        if (secret := secret_in(headers)) is None:
            raise Unauthenticated("an API key is needed: send it as Authorization: Bearer KEY")
        if (key := self._keys.find(secret)) is None:
            raise Unauthenticated("the API key given is not one of this cluster's")
        return key


ANYBODY = Key(name="", sha256="", admin=True, priority=Priority.HIGH)
"""Stands for everybody who reaches a cluster without keys. That one listens on loopback alone,
unless its owner wants otherwise."""


def secret_in(headers: Headers) -> str | None:
    """The API key of a call, in OpenAI's header or in Anthropic's; None: there is none."""
    for value in headers("authorization"):
        scheme, _, secret = value.partition(" ")
        if scheme.lower() == "bearer":
            return secret.strip()
    return next(iter(headers("x-api-key")), None)


def priority_in(headers: Headers) -> Priority | None:
    """The class that the header asks for; None: none. Raises InvalidRequest."""
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
    """The seconds that the header allows the call; None: it says nothing. Raises InvalidRequest."""
    values = headers(TIMEOUT.lower())
    return positive_seconds(TIMEOUT, values[-1]) if values else None
