"""What happened to a call, for who asks later: when, what, and why this worker."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np

from raylax.proto.errors import NotFound, shown
from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import Choice

MOST_STORIES = 4096
MOST_MOMENTS = 64
"""Of one story; a call with many choices has more to tell than anybody reads."""
MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    worker: str
    age_s: float
    """Since it was last heard from."""
    terms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision. `candidates` are the best, in their order."""

    request_id: str
    policy: str
    chosen: str
    reason: str
    runner_up: str
    candidates: tuple[Candidate, ...]


class Decision:
    """Why a request went where it did. What was looked at is kept as it was, and put into words
    when somebody asks: hardly anybody does."""

    def __init__(self, request_id: str, policy: str, choice: Choice, fleet: Fleet) -> None:
        """Of a choice that was just made among this fleet."""
        self._request_id, self._policy, self._reason = request_id, policy, choice.reason
        self._chosen, rows, self._terms = fleet.ids[choice.row], choice.rows, choice.terms
        costs = choice.terms.get("cost")
        if len(rows) > MOST_CANDIDATES:  # of many the best, since stories are kept
            best = slice(MOST_CANDIDATES)
            order = np.arange(len(rows)) if costs is None else np.argsort(costs, kind="stable")
            rows = rows[order[best]]
            self._terms = {name: values[order[best]] for name, values in choice.terms.items()}
        self._workers = [fleet.ids[row] for row in rows.tolist()]
        self._ages_s = fleet.now - fleet.heard_at[rows]

    @property
    def explanation(self) -> Explanation:
        costs = self._terms.get("cost", self._ages_s * 0)
        best = tuple(map(self._candidate, np.argsort(costs, kind="stable").tolist()))
        runner_up = next((one.worker for one in best if one.worker != self._chosen), "")
        return Explanation(
            self._request_id, self._policy, self._chosen, self._reason, runner_up, best
        )

    def _candidate(self, at: int) -> Candidate:
        terms = {name: rounded(values.item(at)) for name, values in self._terms.items()}
        return Candidate(self._workers[at], rounded(self._ages_s.item(at)), terms)


def rounded(value: float) -> float:
    """To microseconds, where it is a time."""
    return round(value, 6)


@dataclass(frozen=True, slots=True)
class Moment:
    at_s: float
    """Since the call's arrival."""
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """A story so far."""

    call_id: str
    moments: tuple[Moment, ...]
    choices: tuple[Explanation, ...]

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Of what `asdict` made of one."""
        choices = (
            Explanation(
                **{**one, "candidates": tuple(Candidate(**each) for each in one["candidates"])}
            )
            for one in values["choices"]
        )
        moments = (Moment(**one) for one in values["moments"])
        return cls(values["call_id"], tuple(moments), tuple(choices))


class Outcome(StrEnum):
    """Of a request's stay with a worker."""

    ENDED = "ended"
    CANCELLED = "cancelled"
    """Its client has left, or its call has failed."""
    LOST = "lost"
    """The worker failed it."""
    HANDED_OVER = "handed over"
    OUTRUN = "outrun"
    """Another worker's token came first."""
    PARKED = "parked"


@dataclass(slots=True)
class Stay:
    """One request with one worker."""

    request_id: str
    worker: str
    from_s: float
    """Since the call's arrival."""
    to_s: float | None = None
    """None: it is still there."""
    outcome: Outcome | None = None
    why: str = ""


@dataclass(eq=False)
class Story:
    """Of one call, from its arrival."""

    call_id: str
    clock: Callable[[], float]
    arrived: float = 0.0
    decisions: list[Decision] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)
    _moments: list[tuple[float, str, str]] = field(default_factory=list)
    _there: dict[tuple[str, str], Stay] = field(default_factory=dict)
    """Of the stays those that have not ended, by request and worker."""

    def __post_init__(self) -> None:
        self.arrived = self.clock()

    @property
    def now_s(self) -> float:
        """Since its arrival."""
        return rounded(self.clock() - self.arrived)

    def note(self, name: str, detail: str = "") -> None:
        if len(self._moments) < MOST_MOMENTS:
            self._moments.append((self.now_s, name, detail))

    @property
    def moments(self) -> tuple[Moment, ...]:
        return tuple(Moment(*one) for one in self._moments)

    def sent(self, request_id: str, worker: str) -> None:
        self.note("sent", worker)
        if len(self.stays) < MOST_MOMENTS:
            stay = self._there[request_id, worker] = Stay(request_id, worker, self.now_s)
            self.stays.append(stay)

    def left(self, request_id: str, worker: str, outcome: Outcome, why: str = "") -> None:
        """A worker has no more to do with a request."""
        if (stay := self._there.pop((request_id, worker), None)) is not None:
            stay.to_s, stay.outcome, stay.why = self.now_s, outcome, why

    @property
    def told(self) -> "Told":
        return Told(self.call_id, self.moments, self.choices)

    def decided(self, decision: Decision) -> None:
        if len(self.decisions) < MOST_MOMENTS:
            self.decisions.append(decision)

    @property
    def choices(self) -> tuple[Explanation, ...]:
        """Each decision in words."""
        return tuple(one.explanation for one in self.decisions)


class Stories:
    """The last ones: an older one makes room."""

    def __init__(self, most: int = MOST_STORIES) -> None:
        self._most = most
        self._stories: OrderedDict[str, Story] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stories)

    def begin(self, story: Story) -> None:
        self._stories[story.call_id] = story
        if len(self._stories) > self._most:
            self._stories.popitem(last=False)

    def find(self, call_id: str) -> Story:
        """Raises NotFound."""
        if (story := self._stories.get(call_id)) is None:
            raise NotFound(
                f"nothing is known of {shown(call_id)}; this router remembers its last "
                f"{self._most} calls",
                param="id",
            )
        return story
