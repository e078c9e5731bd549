"""The standard health service, and who watches it."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from raylax.router.grpc.health import NOT_SERVING, SERVING, UNKNOWN, Health


class Watcher:
    """The server's side of a call of Watch. Who does not read takes nothing."""

    def __init__(
        self, health: Health, service: str = "", reads: bool = True, at: str = "10.0.0.1"
    ) -> None:
        self.told: list[Any] = []
        self._at = at
        self._reads = asyncio.Event()
        if reads:
            self._reads.set()
        request = health_pb2.HealthCheckRequest(service=service)
        self.call = asyncio.ensure_future(health.Watch(request, self))  # type: ignore[arg-type]

    def peer(self) -> str:
        return f"ipv4:{self._at}:4711"

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.told.append((code, details))
        raise grpc.aio.AbortError

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


async def test_watchers_are_counted_by_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """They show no key: who has all places keeps nobody else from one, and gives it back."""
    monkeypatch.setattr("raylax.router.grpc.health.MOST_WATCHERS", 2)
    health = Health([])
    many = [Watcher(health) for _ in range(3)]
    await settled()
    other = Watcher(health, at="10.0.0.2")
    await settled()

    (refused,) = many[2].told
    assert refused[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 2 may watch at once, 2 of them are at your address" in refused[1]
    assert isinstance(many[2].call.exception(), grpc.aio.AbortError)
    assert other.told == [NOT_SERVING]
    for one in (many[0], many[1], other):
        one.call.cancel()
    await settled()
    again = [Watcher(health) for _ in range(2)]
    await settled()

    assert [one.told for one in again] == [[NOT_SERVING]] * 2
    for one in again:
        one.call.cancel()
