"""The standard health service, and who watches it."""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2

from raylax.router.grpc.health import NOT_SERVING, SERVING, UNKNOWN, Health


class Watcher:
    """The server's side of a call of Watch. Who does not read takes nothing."""

    def __init__(self, health: Health, service: str = "", reads: bool = True) -> None:
        self.told: list[Any] = []
        self._reads = asyncio.Event()
        if reads:
            self._reads.set()
        request = health_pb2.HealthCheckRequest(service=service)
        self.call = asyncio.ensure_future(health.Watch(request, self))  # type: ignore[arg-type]

    async def write(self, response: health_pb2.HealthCheckResponse) -> None:
        self.told.append(response.status)
        await self._reads.wait()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_watches_is_told_each_change() -> None:
    health = Health(["one"])
    watchers = [Watcher(health, "one"), Watcher(health, "another")]
    await settled()
    for serving in (True, True, False):
        health.set(serving)
        await settled()

    assert [one.told for one in watchers] == [[NOT_SERVING, SERVING, NOT_SERVING], [UNKNOWN]]
    for one in watchers:
        one.call.cancel()


async def test_a_watcher_that_takes_nothing_holds_up_nobody() -> None:
    """Neither another one nor the router, which says how it stands."""
    health = Health([])
    deaf, other = Watcher(health, reads=False), Watcher(health)
    await settled()
    health.set(True)
    await settled()

    assert (deaf.told, other.told) == ([NOT_SERVING], [NOT_SERVING, SERVING])
    for one in (deaf, other):
        one.call.cancel()
