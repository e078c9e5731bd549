"""The reports of workers, kept by worker. Plain state with the clock as an argument."""

from collections import Counter
from typing import Any, NamedTuple

from raylax.worker.config import MOST_DRAFTED
from raylax.worker.scheduling.counters import PARTS, STEP_TOKENS

EXPIRES_S = 10.0
"""Workers report every second; who has been silent for this long is gone."""


BUCKETS = tuple(f"step_tokens/{number}" for number in range(len(STEP_TOKENS) + 1))
"""The counters of steps with so many tokens as fall into each bucket."""
PART_S = {part: f"part_s/{part}" for part in PARTS}
"""The counters of seconds of steps, by part."""
ACCEPTED_AT = tuple(f"accepted_at/{place}" for place in range(MOST_DRAFTED))
"""The counters of drafted tokens that were right, by their place in a draft."""
COUNTED = (
    "prompt_tokens",
    "generated_tokens",
    "preemptions",
    "cached_tokens",
    "step",
    "energy_j",
    "drafts",
    "drafted_tokens",
    "accepted_tokens",
    "pages_fetched",
    "pages_handed_out",
    "pages_put_back",
    "step_tokens_sum",
    *BUCKETS,
    *PART_S.values(),
    *ACCEPTED_AT,
)
"""What of a report only grows: sums since the worker's start."""
REMEMBERED = 1000
"""Workers that are gone and yet known by name: a report of theirs may still be under way."""

Report = dict[str, Any]


def counts_of(report: Report) -> Counter[str]:
    """By COUNTED, of a worker, but for what it does not know."""
    done = report["done"]
    buckets = zip(BUCKETS, done["step_tokens"], strict=True)
    parts = {PART_S[part]: seconds for part, seconds in done["part_s"].items()}
    accepted = zip(ACCEPTED_AT, done["accepted_at"], strict=True)
    told = {**report, **report["load"], **done, **dict(buckets), **parts, **dict(accepted)}
    return Counter({name: told[name] for name in COUNTED if told[name] is not None})


class Counted(NamedTuple):
    """What a worker has counted."""

    model: str
    last: Counter[str]
    """As it says: since its model was loaded last."""
    before: Counter[str]
    """What it had counted until then."""

    def before_it_began_anew(self, counts: Counter[str]) -> Counter[str]:
        """What it has counted by now besides what it says now: a counter that is smaller than
        before has begun anew."""
        fallen = {name: count for name, count in self.last.items() if counts[name] < count}
        if not fallen:
            return self.before
        before = self.before.copy()
        before.update(fallen)
        return before


class Reports:
    """The last report of each worker, and what it has counted when it goes: a counter must not
    fall."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, Report]] = {}
        self.counted: dict[str, Counted] = {}
        """By worker, also of those that are gone. Who spoke last is last."""
        self.before: dict[str, Counter[str]] = {}
        """By model: sums of those forgotten by name."""

    def add(self, report: Report, now: float) -> None:
        """Takes the place of the worker's last one; a worker that has ended is gone."""
        worker = report["worker_id"]
        model, nothing = report["model"], Counter[str]()
        known = self.counted.pop(worker, Counted(model, nothing, nothing))
        counts = Counter({**known.last, **counts_of(report)})
        self.counted[worker] = Counted(model, counts, known.before_it_began_anew(counts))
        if report["state"] == "ended":
            self._heard.pop(worker, None)
        else:
            self._heard[worker] = (now, report)
        if len(self.counted) > REMEMBERED:
            self._forget(now)

    def restore(
        self, worker: str, model: str, last: dict[str, Any], before: dict[str, Any]
    ) -> None:
        """What a worker had counted before this process was started."""
        self.counted[worker] = Counted(model, Counter(last), Counter(before))

    def restore_before(self, before: dict[str, dict[str, Any]]) -> None:
        """What those had that were forgotten by then."""
        self.before = {model: Counter(counts) for model, counts in before.items()}

    def alive(self, now: float) -> list[Report]:
        """The last report of each worker that is not gone, and its age in seconds; by worker."""
        self._expire(now)
        return [
            {**report, "age_s": round(now - heard, 3)}
            for _, (heard, report) in sorted(self._heard.items())
        ]

    def totals(self, counter: str) -> dict[str, float]:
        """By model: the sum of a counter, one of COUNTED, over its workers past and present."""
        sums = Counter[str]({model: counts[counter] for model, counts in self.before.items()})
        for model, last, before in self.counted.values():
            sums[model] += last[counter] + before[counter]
        return dict(sums)

    def _expire(self, now: float) -> None:
        self._heard = {
            worker: (heard, report)
            for worker, (heard, report) in self._heard.items()
            if now - heard <= EXPIRES_S
        }

    def _forget(self, now: float) -> None:
        """Keep no more than what they have counted of those that are gone for longest."""
        self._expire(now)
        gone = [worker for worker in self.counted if worker not in self._heard]
        for worker in gone[: max(0, len(gone) - REMEMBERED)]:
            model, *counts = self.counted.pop(worker)
            for one in counts:
                self.before.setdefault(model, Counter()).update(one)
