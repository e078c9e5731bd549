"""The reports of routers, kept by router, also of those that are gone: what they counted stays.
Plain state with the clock as an argument."""

from collections.abc import Container

from raylax.cluster.metrics.state import EXPIRES_S
from raylax.router.observe.measures import RouterMeasures, RouterReport, added_up

REMEMBERED = 20
"""Routers that are gone and yet known by name: they may only have been silent."""


class RouterReports:
    """The last report of each router."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, RouterReport]] = {}
        self._last: dict[str, RouterMeasures] = {}  # also of those that are gone; newest last
        self._before: RouterMeasures | None = None  # of those forgotten by name

    def add(self, report: RouterReport, now: float) -> None:
        """Takes the place of the router's last one; a router that has ended is gone."""
        self._last.pop(report.router, None)
        self._last[report.router] = report.measures
        self._heard.pop(report.router, None)
        if report.state != "ended":
            self._heard[report.router] = now, report
        gone = [name for name in self._last if name not in self._heard]
        for name in gone[: max(0, len(gone) - REMEMBERED)]:
            forgotten = self._last.pop(name)
            self._before = added_up(one for one in (self._before, forgotten) if one is not None)

    def restore(self, measures: RouterMeasures) -> None:
        """What a router had counted before this process was started."""
        self._last[measures.router] = measures

    def restore_before(self, measures: RouterMeasures) -> None:
        """What those had that were forgotten by then."""
        self._before = measures

    def alive(self, now: float) -> list[tuple[RouterReport, float]]:
        """The last report of each router that is not gone, and its age; by router."""
        return [
            (report, now - heard)
            for _, (heard, report) in sorted(self._heard.items())
            if now - heard <= EXPIRES_S
        ]

    @property
    def known(self) -> list[RouterMeasures]:
        """What each that is known by name has said last."""
        return [*self._last.values()]

    @property
    def before(self) -> RouterMeasures | None:
        """What all have counted that are not."""
        return self._before

    def besides(self, routers: Container[str]) -> RouterMeasures | None:
        """What all others than these have counted; gauges are theirs no more."""
        others = [one for name, one in self._last.items() if name not in routers]
        if not (told := [one for one in (self._before, *others) if one is not None]):
            return None
        together = added_up(told)
        for model in together.models.values():
            model.gauges = dict.fromkeys(model.gauges, 0)
        together.batches.open = together.batches.running = 0
        return together
