"""The paths of the APIs, their methods, and who handles them."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[ASGIApp]]
"""Reads what it needs of a request and gives the response, as an ASGI application."""


class Endpoint:
    """An ASGI application of one handler. Starlette's own wrapper would cost each token
    something."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._handle(Request(scope, receive))
        await answer(scope, receive, send)


class Said(NamedTuple):
    """What a path takes and gives; None: what has no model."""

    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    streams: type[BaseModel] | None = None
    """The data of its events, if it gives a stream of them to who asks for one."""


NOTHING_SAID = Said()


class MethodsRoute(Route):
    """A path that says which methods it has: to who asks by OPTIONS, and to who is wrong."""

    said = NOTHING_SAID

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self.methods or set()
        if scope["method"] in methods:
            await self.app(scope, receive, send)
            return
        allow = {"Allow": ", ".join(sorted({*methods, "OPTIONS"}))}
        if scope["method"] != "OPTIONS":
            raise HTTPException(405, headers=allow)
        await Response(status_code=204, headers=allow)(scope, receive, send)


class Routes:
    """Collects routes. Of several that match a path, the one that was added first is taken."""

    def __init__(self) -> None:
        self.all: list[BaseRoute] = []

    def add(self, path: str, handle: Handler, *methods: str, said: Said = NOTHING_SAID) -> None:
        """`{name}` in a path stands for a part of it, and `{name:path}` for all that follows."""
        route = MethodsRoute(path, Endpoint(handle), methods=methods)
        route.said = said
        self.all.append(route)

    def get(self, path: str, handle: Handler, gives: type[BaseModel] | None = None) -> None:
        self.add(path, handle, "GET", said=Said(gives=gives))

    def post(
        self,
        path: str,
        handle: Handler,
        takes: type[BaseModel] | None = None,
        gives: type[BaseModel] | None = None,
        streams: type[BaseModel] | None = None,
    ) -> None:
        self.add(path, handle, "POST", said=Said(takes, gives, streams))
