"""In front of the HTTP application: who may come in, and the headers around every answer."""

import logging
import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raylax.proto.errors import RaylaxError
from raylax.router.caller import CALLER, Caller, Entrance, Need
from raylax.router.config import RouterConfig

log = logging.getLogger(__name__)
CALL_ID = "X-Raylax-Call-Id"
"""The id in the answer's body; the client's own, or the router's, is X-Request-Id."""
OUR_FAULT = 500


def needed(method: str, path: str) -> Need:
    """What a key must be to get this. Whatever is not listed needs any key."""
    if path in ("/health", "/version") or path.startswith("/health/"):
        return Need.NOTHING
    if path.startswith("/debug/") or (method == "POST" and path.startswith("/cluster")):
        return Need.ADMIN_KEY
    return Need.ANY_KEY


class Guard:
    """ASGI middleware. It reads headers only: nobody is refused after sending megabytes."""

    def __init__(self, app: ASGIApp, entrance: Entrance, clock: Callable[[], float]) -> None:
        self._app, self._entrance, self._clock = app, entrance, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = self._entrance.stranger(headers.getlist)
        answer = Answer(scope, caller, self._clock, send)
        try:
            need = needed(scope["method"], scope["path"])
            caller = answer.caller = self._entrance.known(caller, headers.getlist, need)
            CALLER.set(caller)
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.status:
                raise  # too late to say anything
            await explain(error, scope, receive, answer.send)
        finally:
            answer.log()


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

    def log(self) -> None:
        level = logging.WARNING if self.status >= OUR_FAULT else logging.INFO
        if log.isEnabledFor(level):
            took_s = self._clock() - self._begun
            asked = f"{self._scope['method']} {self._scope['path']!r}"
            who = f"request={self.caller.request_id} call={self._call_id or '-'}"
            tenant = f"tenant={self.caller.tenant or '-'} trace={self.caller.traceparent}"
            log.log(level, "%s %d %.3f s %s %s", asked, self.status, took_s, who, tenant)


async def explain(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """By the application's own handlers, so that each API words its errors as it does."""
    handlers = scope["app"].exception_handlers
    kind = RaylaxError if isinstance(error, RaylaxError) else Exception
    response = await handlers[kind](Request(scope, receive), error)
    await response(scope, receive, send)


def install(app: FastAPI, config: RouterConfig, entrance: Entrance) -> None:
    """A browser's question whether it may ask is answered before the guard: it brings no key."""
    app.add_middleware(Guard, entrance=entrance, clock=time.monotonic)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )


EXPOSED = [
    "X-Request-Id", CALL_ID, "Traceparent", "Retry-After",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset")
      for of in ("requests", "tokens")),
]  # fmt: skip
