"""The reports of workers, kept by worker. Plain state with the clock as an argument."""

from typing import Any

EXPIRES_S = 10.0
"""Workers report every second; who has been silent for this long is gone."""

Report = dict[str, Any]


class Reports:
    """The last report of each worker, kept when it goes: a counter must not fall."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, Report]] = {}
        self._loads: dict[str, dict[str, Any]] = {}

    def add(self, report: Report, now: float) -> None:
        """Takes the place of the worker's last one; a worker that has ended is gone."""
        worker = report["worker_id"]
        self._loads[worker] = report["load"]
        if report["state"] == "ended":
            self._heard.pop(worker, None)
        else:
            self._heard[worker] = (now, report)

    def alive(self, now: float) -> list[Report]:
        """The last report of each worker that is not gone, and its age in seconds; by worker."""
        self._heard = {
            worker: (heard, report)
            for worker, (heard, report) in self._heard.items()
            if now - heard <= EXPIRES_S
        }
        return [
            {**report, "age_s": round(now - heard, 3)}
            for _, (heard, report) in sorted(self._heard.items())
        ]

    def total(self, counter: str) -> int:
        """The sum of a counter over workers past and present."""
        return sum(int(load[counter]) for load in self._loads.values())
