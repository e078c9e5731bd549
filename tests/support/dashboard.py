"""What the page at /dashboard is told by its feed, and by Metrics of the workers of a rig, in the
same process."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from raylax.cluster.autoscaling.receipt import Receipt
from raylax.cluster.metrics.events import EventKind
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.cluster_reports import report
from tests.support.router_rig import PATIENCE_S, Rig


async def snapshots(url: str) -> AsyncGenerator[dict[str, Any]]:
    """Those of a router's feed, as they come."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
        client.stream("GET", "/dashboard/events") as reply,
    ):
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def snapshot(url: str) -> dict[str, Any]:
    """The first one of a feed."""
    async with aclosing(snapshots(url)) as told:
        return await anext(told)


def moment(ago_s: float = 0.0) -> Moment:
    """Now, or so many seconds ago."""
    return Moment(time.time() - ago_s, time.monotonic() - ago_s)


class ItsWorkers(NoCluster):
    """What Metrics knows of a rig's workers, each of which reports when somebody asks. Of one that
    was killed it believes the last report: it finds out later."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self.record = rig, ClusterRecord()

    def remember(self, seconds: int) -> None:
        """That a worker `old` was busy so long, until a minute ago."""
        wall, steady = moment(60 + seconds)
        for second in range(seconds):
            now = Moment(wall + second, steady + second)
            busy = report("old", generated_tokens=90 * second, prompt_tokens=40 * second, running=3)
            self.record.report(busy, now)
            self.record.turn(now)

    def decide(self, receipt: Receipt) -> None:
        """That the autoscaler has decided, just now."""
        detail = receipt.asdict()
        self.record.events.add(EventKind.SCALING, "tiny", time.time(), model="tiny", detail=detail)

    async def cluster(self) -> str:
        now = moment()
        for worker in self._rig.workers:
            self.record.report(worker.report(1, "node"), now)
        self.record.turn(now)
        return self.record.view(now).model_dump_json()

    async def history(self, asked: dict[str, str]) -> str:
        return self.record.history(asked, moment()).model_dump_json()

    async def events(self, after: int) -> str:
        return self.record.events_after(after).model_dump_json()
