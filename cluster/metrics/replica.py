"""The Metrics deployment: hears the workers, answers the router. Never on a request's path."""

import time
from typing import Any

from raylax.cluster.metrics.exposition import exposition
from raylax.cluster.metrics.state import Report, Reports


class MetricsReplica:
    """Body of the deployment; `raylax.cluster.application.app` decorates it."""

    def __init__(self) -> None:
        self._reports = Reports()

    async def report(self, report: Report) -> None:
        """A worker's report, which comes every second and at its end."""
        self._reports.add(report, time.monotonic())

    async def exposition(self) -> bytes:
        """The body of /metrics, but for what the router measures itself."""
        return exposition(self._reports, time.monotonic())

    async def cluster(self) -> dict[str, Any]:
        """The body of /cluster."""
        return {"workers": self._reports.alive(time.monotonic())}
