"""All that Metrics knows: what is, what was, and what happened. Plain state with the clock as an
argument."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from raylax.cluster.metrics.events import EventList, Events
from raylax.cluster.metrics.exposition import exposition
from raylax.cluster.metrics.history.of_routers import OF_ROUTERS, ROUTER, of_router
from raylax.cluster.metrics.history.of_workers import (
    OF_WORKERS,
    RANK,
    TENANT,
    WORKER,
    of_ranks,
    of_tenants,
    of_worker,
)
from raylax.cluster.metrics.history.questions import Derived, History, Question, history
from raylax.cluster.metrics.history.series import Series
from raylax.cluster.metrics.keeping import Keeper
from raylax.cluster.metrics.routers import RouterReports
from raylax.cluster.metrics.state import EXPIRES_S, Report, Reports
from raylax.cluster.metrics.state_file import StateFile
from raylax.cluster.metrics.view import ClusterView, view_of
from raylax.cluster.metrics.watching import Watch
from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai.body import invalid
from raylax.proto.wire.outlook import Outlook
from raylax.router.observe.exposition import Format
from raylax.router.observe.measures import RouterReport

WORKERS_BYTES, RANKS_BYTES = 48 << 20, 8 << 20
ROUTERS_BYTES, TENANTS_BYTES = 12 << 20, 6 << 20
"""What the history of each may take: of 64 workers for a day at full resolution, and more."""


FILE_BYTES = 64 << 20
"""Of what is kept on disk: of 64 workers for more than a day."""


class Moment(NamedTuple):
    """Now."""

    wall: float
    """Seconds since the epoch: by which history is kept."""
    steady: float
    """Seconds on a clock that nobody sets: by which silence is measured."""


class ClusterRecord:
    """Reports go in, answers come out."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: of the file from which it goes on, and into which it writes what it knows."""
        self.reports, self.routers, self.events = Reports(), RouterReports(), Events()
        self._workers = Series(WORKER, WORKERS_BYTES)
        self._ranks = Series(RANK, RANKS_BYTES)
        self._tenants = Series(TENANT, TENANTS_BYTES)
        self._of_routers = Series(ROUTER, ROUTERS_BYTES)
        self._watch = Watch(self.events)
        self._outlooks: Mapping[str, Outlook] = {}
        self._series: dict[str, tuple[Series, Mapping[str, Derived]]] = {
            "workers": (self._workers, OF_WORKERS),
            "ranks": (self._ranks, {}),
            "routers": (self._of_routers, OF_ROUTERS),
            "tenants": (self._tenants, {}),
        }
        self._second: int | None = None
        self._since: float | None = None
        self._file = StateFile(path, FILE_BYTES)
        self._keeper = Keeper(
            self._file,
            {kind: series for kind, (series, _) in self._series.items()},
            self.reports,
            self.routers,
            self.events,
            self._watch,
        )
        self._keeper.restore()

    def close(self) -> None:
        """Write no more: another process may."""
        self._file.close()

    @property
    def kinds(self) -> list[str]:
        """Of which there is history."""
        return list(self._series)

    @property
    def nbytes(self) -> int:
        """What all history takes."""
        return sum(series.nbytes for series, _ in self._series.values())

    def report(self, report: Report, now: Moment) -> None:
        """What a worker says."""
        self.reports.add(report, now.steady)
        worker, model = report["worker_id"], report["model"]
        of_them = {f"{worker}/{rank}": told for rank, told in of_ranks(report).items()}
        if report["state"] == "ended":
            self._workers.left(worker, now.wall)
            for rank in of_them:
                self._ranks.left(rank, now.wall)
        else:
            self._workers.heard(worker, model, of_worker(report), now.wall)
            for rank, told in of_them.items():
                self._ranks.heard(rank, model, told, now.wall)
        self._watch.heard(worker, model, report["state"], now.wall, report["fault"] or "")
        if config := report["engine_config"]:
            self._watch.configured(worker, model, config, now.wall)

    def report_router(self, report: RouterReport, now: Moment) -> None:
        """What a router says."""
        self.routers.add(report, now.steady)
        for model, measures in report.measures.models.items():
            row = f"{report.router}/{model}"
            if report.state == "ended":
                self._of_routers.left(row, now.wall)
            else:
                self._of_routers.heard(row, model, of_router(measures), now.wall)
        self._watch.heard(report.router, "", report.state, now.wall)
        self._watch.acted(report.router, report.acts)

    def configured(self, settings: Mapping[str, Any], by: str, now: Moment) -> None:
        """What the cluster is to be from now on, and who wants it so."""
        self._watch.changed(settings, by, now.wall)

    def decided(self, decisions: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """By model the autoscaler's last decisions, the oldest first."""
        for model, receipts in decisions.items():
            self._watch.decided(model, receipts)

    def expect(self, outlooks: Mapping[str, Outlook]) -> None:
        """By model what the autoscaler expects of its workers."""
        self._outlooks = outlooks

    def turn(self, now: Moment) -> None:
        """Time has passed. To be called at least once a second; what is done, is done so often."""
        if (second := math.floor(now.steady)) == self._second:
            return
        self._second = second
        self._since = now.steady if self._since is None else self._since
        alive = self.reports.alive(now.steady)
        for (model, tenant), told in of_tenants(alive).items():
            self._tenants.heard(f"{model}/{tenant}", model, told, now.wall)
        for series, _ in self._series.values():
            series.tick(now.wall)
        workers = [report["worker_id"] for report in alive]
        routers = [report.router for report, _ in self.routers.alive(now.steady)]
        if now.steady - self._since > EXPIRES_S:  # by then everyone has spoken who is there
            self._watch.present([*workers, *routers], now.wall)
        self._keeper.turn(now.wall)

    def exposition(self, now: Moment, openmetrics: bool = False) -> bytes:
        """As text of Prometheus, or of OpenMetrics without its end."""
        return exposition(self.reports, now.steady, Format(openmetrics))

    def view(self, now: Moment) -> ClusterView:
        """The cluster as it is."""
        workers, routers = self.reports.alive(now.steady), self.routers.alive(now.steady)
        return view_of(workers, routers, now.wall, self._outlooks)

    def history(self, asked: Mapping[str, str], now: Moment) -> History:
        """The answer to the fields of a Question. Raises InvalidRequest."""
        try:
            question = Question.model_validate(asked)
        except ValidationError as error:
            raise invalid(error) from None
        if question.kind not in self._series:
            there = ", ".join(self._series)
            raise InvalidRequest(
                f"there is no history of {shown(question.kind)}, but of {there}", param="kind"
            )
        return history(question, *self._series[question.kind], now.wall)

    def events_after(self, id: int) -> EventList:
        """Those that happened after the one with this id."""
        return EventList(events=list(self.events.after(id)))
