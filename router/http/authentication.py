"""What stands in front of the HTTP application: who may come in, and the headers of every
answer."""

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raylax.proto.errors import RaylaxError
from raylax.proto.warnings import HEADER as WARNINGS
from raylax.proto.warnings import collect_warnings
from raylax.router.access.authentication import AccessLevel, Authenticator
from raylax.router.access.browser_guard import BrowserGuard, require_json
from raylax.router.access.caller import CALLER, Caller
from raylax.router.calls.failure import failure_of
from raylax.router.http.disconnect import ClientLeft
from raylax.router.http.errors import error_response
from raylax.router.http.refusal_spans import refusal_of, route_of
from raylax.router.http.sending import AnswerSender

CALL_ID = "X-Raylax-Call-Id"
"""The id in the answer's body; the client's own, or the router's, is X-Request-Id."""
SAFE = ("GET", "HEAD", "OPTIONS")
MOST_ECHOED = 2 << 10
"""Bytes of a browser's question that come back in the answer to it."""
"""Methods that change nothing."""
OF_THE_CLUSTER = ("/debug", "/cluster", "/metrics", "/dashboard")
OF_NOBODY = ("/health", "/ping", "/version", "/dashboard", "/openapi.json", "/docs")
"""The page at /dashboard asks for the key itself, and its files tell nothing."""


def level_of(path: str) -> AccessLevel:
    """The key that a path needs. Whatever is not listed needs any key. What tells of processes,
    paths and all tenants together is for admins."""
    if path in OF_NOBODY or path.startswith(("/health/", "/dashboard/assets/")):
        return AccessLevel.PUBLIC
    if path.startswith(OF_THE_CLUSTER):
        return AccessLevel.ADMIN_KEY
    return AccessLevel.ANY_KEY


class AuthenticationMiddleware:
    """ASGI middleware that finds out who calls, and answers whatever is raised behind it.

    It reads headers only: nobody is refused after sending megabytes.
    """

    def __init__(
        self,
        app: Router,
        authenticator: Authenticator,
        clock: Callable[[], float],
        sender: AnswerSender,
        guard: BrowserGuard,
    ) -> None:
        """`guard`: for a cluster without keys."""
        self._app, self._authenticator, self._clock = app, authenticator, clock
        self._sender, self._guard = sender, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # so that Starlette's router raises what it does not find
        scope["path"] = scope["path"].rstrip("/") or "/"  # no redirect: who knows our front door?
        headers = Headers(scope=scope)
        caller = self._authenticator.identify(headers.getlist)
        reply = Reply(caller, self._clock, self._sender, send)
        try:
            level = level_of(scope["path"])
            self._guard.check(headers.getlist, scope["http_version"])
            changes = level is AccessLevel.ADMIN_KEY and scope["method"] not in SAFE
            if changes and self._guard.needed():
                require_json(headers.getlist)
            caller = reply.caller = self._authenticator.authenticate(caller, headers.getlist, level)
            CALLER.set(caller)
            with self._authenticator.visit(caller, level):
                await self._app(scope, receive, reply.send)
        except Exception as error:
            if reply.status:
                if isinstance(error, ClientLeft):
                    return
                raise failure_of(error, scope["path"]) from None  # too late to say anything
            response = error_response(Request(scope, receive), error)
            if not isinstance(error, ClientLeft):
                what = f"{scope['method']} {route_of(self._app, scope['path']) or 'no route'}"
                status = str(response.status_code)
                self._authenticator.refusals.note(what, status, reply.caller, error)
            if isinstance(error, RaylaxError):
                if error.call_id:
                    response.headers[CALL_ID] = error.call_id
                else:
                    self._record_refusal(scope, reply, error)
            await response(scope, receive, reply.send)

    def _record_refusal(self, scope: Scope, reply: "Reply", error: RaylaxError) -> None:
        """Makes a span for a call that was refused before it had any."""
        told = refusal_of(scope, self._app, reply.caller, error, reply.took_s)
        if told is not None:
            self._authenticator.telemetry.refuse(told)


class Reply:
    """A response on its way: it gets the headers that all have."""

    def __init__(
        self,
        caller: Caller,
        clock: Callable[[], float],
        sender: AnswerSender,
        send: Send,
    ) -> None:
        self.caller, self.status = caller, 0
        self._warnings = collect_warnings()
        self._clock, self._sender, self._send = clock, sender, send
        self._begun = clock()

    async def send(self, message: Message) -> None:
        tenant = self.caller.tenant
        if message["type"] == "http.response.start":
            self._sender.check(tenant, Headers(raw=message["headers"]))
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(self.caller.headers())
            headers.update(self._warnings.headers())
            if self.status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            await self._send(message)
        else:
            await self._sender.send(message, tenant, self._send)

    @property
    def took_s(self) -> float:
        """Seconds since the request came."""
        return self._clock() - self._begun


def with_cors(app: ASGIApp, origins: Sequence[str], guard: BrowserGuard) -> ASGIApp:
    """Answers a browser that asks whether it may ask, before a key is looked at: it brings none.
    Whom the guard would refuse is left to `app`, which does so; and so is who asks for more than an
    answer's head may have, which then allows nothing."""
    if not origins:
        return app
    cors = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                guard.check(Headers(scope=scope).getlist, scope["http_version"])
        except RaylaxError:
            await app(scope, receive, send)
        else:
            await (app if asks_too_much(scope) else cors)(scope, receive, send)

    return guarded


def asks_too_much(scope: Scope) -> bool:
    """Whether what CORS would repeat is too long."""
    if scope["type"] != "http":
        return False
    headers = Headers(scope=scope)
    echoed = ("origin", "access-control-request-headers")
    return sum(len(headers.get(name, "")) for name in echoed) > MOST_ECHOED


EXPOSED_HEADERS = [
    "X-Request-Id", CALL_ID, "Traceparent", "Retry-After", WARNINGS,
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset")
      for of in ("requests", "tokens")),
]  # fmt: skip
