"""The Metrics deployment: hears the workers, answers the router. Never on a request's path."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from raylax.cluster.metrics.decisions import kept_decisions, kept_outlooks
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.cluster.metrics.state import Report
from raylax.router.observe.measures import RouterMeasures, RouterReport

log = logging.getLogger(__name__)
REPORTED_EVERY_S = 1.0
DECISIONS_EVERY_S = 5.0
OUTLOOKS_EVERY_S = 1.0
STORE_TIMEOUT_S = 2.0
"""Serve would take a longer silence for the end of this replica."""


class MetricsReplica:
    """Body of the deployment; `raylax.cluster.application.app` decorates it."""

    def __init__(self, path: str = "") -> None:
        """`path`: of the file that outlives it; empty: there is none."""
        self._record = ClusterRecord(Path(path) if path else None)
        self._asked_at = self._looked_at = -math.inf
        self._turn = asyncio.Lock()
        self._texts: dict[bool, tuple[float, bytes]] = {}  # of /metrics by its form, and since when

    async def check_health(self) -> None:
        """Serve asks several times a second: so time passes here, whoever reports."""
        self._record.turn(moment := now())
        if moment.steady - self._looked_at >= OUTLOOKS_EVERY_S:
            self._looked_at = moment.steady
            try:
                await asyncio.wait_for(self._ask_the_autoscaler(moment.steady), STORE_TIMEOUT_S)
            except Exception as error:
                log.warning("what the autoscaler decides is not known: %s", error)

    async def reconfigure(self, told: dict[str, Any]) -> None:
        """Serve calls it at the start, and whenever the application is deployed with another
        configuration: `settings` by name, and `by` whom."""
        self._record.configured(told["settings"], told["by"], now())

    async def _ask_the_autoscaler(self, steady: float) -> None:
        self._record.expect(await kept_outlooks())
        if steady - self._asked_at >= DECISIONS_EVERY_S:
            self._asked_at = steady
            self._record.decided(await kept_decisions())

    async def report(self, report: Report) -> None:
        """A worker's report, which comes every second and at its end."""
        self._record.report(report, now())

    async def report_router(self, report: str) -> None:
        """A router's, which comes every second and at its end: JSON of a RouterReport."""
        self._record.report_router(RouterReport.model_validate_json(report), now())

    async def measures_besides(self, routers: list[str]) -> RouterMeasures | None:
        """What all routers but these have counted; None if there never were others."""
        return self._record.routers.besides(routers)

    async def exposition(self, openmetrics: bool) -> bytes:
        """The body of /metrics, but for what the router measures itself: made once for all who ask
        before the next reports."""
        async with self._one_at_a_time():
            made_at, text = self._texts.get(openmetrics, (-math.inf, b""))
            if (moment := now()).steady - made_at >= REPORTED_EVERY_S:
                text = self._record.exposition(moment, openmetrics)
                self._texts[openmetrics] = moment.steady, text
            return text

    async def cluster(self) -> str:
        """The body of /cluster."""
        async with self._one_at_a_time():
            return self._record.view(now()).model_dump_json()

    async def history(self, asked: dict[str, str]) -> str:
        """The body of /cluster/history. Raises InvalidRequest."""
        async with self._one_at_a_time():
            return self._record.history(asked, now()).model_dump_json()

    async def events(self, after: int) -> str:
        """The body of /cluster/events."""
        return self._record.events_after(after).model_dump_json()

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncIterator[None]:
        """For an answer that takes its time: however many ask, reports and Serve's look at our
        health come in between."""
        async with self._turn:
            await asyncio.sleep(0)
            yield

    async def scaling(self) -> dict[str, list[dict[str, Any]]]:
        """The body of /cluster/scaling, all of it."""
        return await kept_decisions()


def now() -> Moment:
    """By the clocks of this machine."""
    return Moment(time.time(), time.monotonic())
