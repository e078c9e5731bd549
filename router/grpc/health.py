"""The standard health service, for everybody who reaches the server.

grpc's own tells all who watch one after another, and holds a lock meanwhile: a client that takes
nothing of what it is told would keep the router from ever noting another state.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from raylax.proto.shares import Shares
from raylax.proto.wire.connection_room import source_of
from raylax.router.grpc.connections import host_in, name_of

MOST_WATCHERS = 1024
"""How many may watch at once. They need no key: each source of connections has a part."""
Context = grpc.aio.ServicerContext[Any, Any]
SERVING: int = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """What is said of each service, and of the server by the empty name."""

    def __init__(self, services: Iterable[str]) -> None:
        self._serving, self._services = False, frozenset(["", *services])
        self._changed = asyncio.Event()
        self._watchers = Shares(MOST_WATCHERS)

    def set(self, serving: bool) -> None:
        """Whether all of them serve. Whoever watches is told, and waited for by nobody."""
        self._serving = serving
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no service of this name")
        return said(self._status_of(request.service))

    async def List(self, request: Any, context: Context) -> Any:
        """All of them; types-grpcio does not know of it yet."""
        answer: Any = health_pb2.HealthListResponse()  # type: ignore[attr-defined]
        for service in self._services:
            answer.statuses[service].CopyFrom(said(self._status_of(service)))
        return answer

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        source = source_of(host_in(name_of(context.peer())))
        if not self._watchers.take(source, 1):
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"at most {self._watchers.total} may watch at once, {self._watchers.held(source)} "
                "of them are at your address and there is room for none more",
            )
        try:
            await self._tell(request, context)
        finally:
            self._watchers.give_back(source, 1)

    async def _tell(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        told: int | None = None
        while True:
            changed, status = self._changed, self._status_of(request.service)
            if status == told:
                await changed.wait()
            else:
                await context.write(said(status))
                told = status

    def _status_of(self, service: str) -> int:
        if service not in self._services:
            return UNKNOWN
        return SERVING if self._serving else NOT_SERVING


def said(status: int) -> health_pb2.HealthCheckResponse:
    return health_pb2.HealthCheckResponse(status=status)
