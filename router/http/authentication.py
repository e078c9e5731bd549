"""In front of the HTTP application: who may come in, and the headers around every answer."""

import logging
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raylax.proto.errors import RaylaxError
from raylax.router.access.authentication import AccessLevel, Authenticator
from raylax.router.access.caller import CALLER, Caller
from raylax.router.http.errors import answer_to
from raylax.router.http.refusal_spans import refused

log = logging.getLogger(__name__)
CALL_ID = "X-Raylax-Call-Id"
"""The id in the answer's body; the client's own, or the router's, is X-Request-Id."""
OUR_FAULT = 500


def level_of(method: str, path: str) -> AccessLevel:
    """The key that a path needs. Whatever is not listed needs any key."""
    if path in ("/health", "/version") or path.startswith("/health/"):
        return AccessLevel.PUBLIC
    if path.startswith("/debug/") or (method == "POST" and path.startswith("/cluster")):
        return AccessLevel.ADMIN_KEY
    return AccessLevel.ANY_KEY


class Guard:
    """ASGI middleware. It reads headers only: nobody is refused after sending megabytes."""

    def __init__(
        self, app: Router, authenticator: Authenticator, clock: Callable[[], float]
    ) -> None:
        self._app, self._authenticator, self._clock = app, authenticator, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # so that Starlette's router raises what it does not find
        scope["path"] = scope["path"].rstrip("/") or "/"  # no redirect: who knows our front door?
        headers = Headers(scope=scope)
        caller = self._authenticator.identify(headers.getlist)
        answer = Answer(scope, caller, self._clock, send)
        try:
            level = level_of(scope["method"], scope["path"])
            caller = answer.caller = self._authenticator.authenticate(
                caller, headers.getlist, level
            )
            CALLER.set(caller)
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.status:
                raise  # too late to say anything
            response = answer_to(Request(scope, receive), error)
            if isinstance(error, RaylaxError):
                if error.call_id:
                    response.headers[CALL_ID] = error.call_id
                else:
                    self._tell(scope, answer, error)
            await response(scope, receive, answer.send)
        finally:
            answer.log()

    def _tell(self, scope: Scope, answer: "Answer", error: RaylaxError) -> None:
        """Of a call that has no timeline."""
        told = refused(scope, self._app, answer.caller, error, answer.took_s)
        if told is not None:
            self._authenticator.telemetry.refuse(told)


class Answer:
    """One answer on its way: its headers, and a line in the log."""

    def __init__(
        self, scope: Scope, caller: Caller, clock: Callable[[], float], send: Send
    ) -> None:
        self.caller, self.status = caller, 0
        self._scope, self._clock, self._send = scope, clock, send
        self._begun, self._call_id = clock(), ""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            self._call_id = headers.get(CALL_ID, "")
            headers.update(self.caller.headers())
            if self.status == 401:
                headers["WWW-Authenticate"] = "Bearer"
        await self._send(message)

    @property
    def took_s(self) -> float:
        """So far."""
        return self._clock() - self._begun

    def log(self) -> None:
        level = logging.WARNING if self.status >= OUR_FAULT else logging.INFO
        if log.isEnabledFor(level):
            asked = f"{self._scope['method']} {self._scope['path']!r}"
            who = f"request={self.caller.request_id} call={self._call_id or '-'}"
            tenant = f"tenant={self.caller.tenant or '-'} trace={self.caller.traceparent}"
            log.log(level, "%s %d %.3f s %s %s", asked, self.status, self.took_s, who, tenant)


def for_browsers(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """A browser's question whether it may ask is answered before the guard: it brings no key."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )


EXPOSED = [
    "X-Request-Id", CALL_ID, "Traceparent", "Retry-After",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset")
      for of in ("requests", "tokens")),
]  # fmt: skip
