"""Reports by worker. Plain state with the clock as an argument."""

from typing import Any

EXPIRES_S = 10.0
"""Workers report every second; who has been silent for this long is gone."""
COUNTERS = ("prompt_tokens", "cached_tokens", "generated_tokens", "preemptions", "step")

Report = dict[str, Any]


class Reports:
    """The last report of each worker, and the counters of those that have gone."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[float, Report]] = {}
        self._departed = dict.fromkeys(COUNTERS, 0)

    def add(self, report: Report, now: float) -> None:
        self._reports[report["worker_id"]] = (now, report)
        self._expire(now)

    def alive(self, now: float) -> list[Report]:
        """With the age of each, in seconds; sorted by worker."""
        self._expire(now)
        return [
            {**report, "age_s": round(now - heard, 3)}
            for _, (heard, report) in sorted(self._reports.items())
        ]

    def total(self, counter: str, now: float) -> int:
        """Over workers past and present: a counter must not fall when one goes."""
        alive = sum(int(report["load"][counter]) for report in self.alive(now))
        return self._departed[counter] + alive

    def _expire(self, now: float) -> None:
        for worker, (heard, report) in list(self._reports.items()):
            if now - heard > EXPIRES_S:
                del self._reports[worker]
                for counter in COUNTERS:
                    self._departed[counter] += int(report["load"][counter])
