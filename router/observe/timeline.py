"""What happened to a call, for who asks later: when, what, and why this worker."""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from raylax.proto.errors import NotFound, shown
from raylax.proto.shares import ShareOf, Shares, equal
from raylax.proto.timeline import Candidate, Explanation, TimelineEvent, TimelineSnapshot
from raylax.proto.vocabulary import Cuts, Delta
from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import RoutingChoice

MOST_TIMELINES = 4096
"""Of calls with one request; one with more counts as so many, up to `MOST_EVENTS`."""
MOST_EVENTS = 64
"""Events, attempts and decisions of one timeline: a call with many choices would have more than
anybody reads."""
MOST_CANDIDATES = 8


class Decision:
    """Why a request went where it did. What was looked at is kept as it was, and put into words
    when somebody asks: hardly anybody does."""

    def __init__(self, request_id: str, policy: str, choice: RoutingChoice, fleet: Fleet) -> None:
        """`choice` was just made among this fleet."""
        self._request_id, self._policy, self._reason = request_id, policy, choice.reason
        self._chosen, rows, self._terms = fleet.ids[choice.row], choice.rows, choice.terms
        costs = choice.terms.get("cost")
        if len(rows) > MOST_CANDIDATES:  # of many the best, since timelines are kept
            best = slice(MOST_CANDIDATES)
            order = np.arange(len(rows)) if costs is None else np.argsort(costs, kind="stable")
            rows = rows[order[best]]
            self._terms = {name: values[order[best]] for name, values in choice.terms.items()}
        self._workers = [fleet.ids[row] for row in rows.tolist()]
        self._ages_s = fleet.now - fleet.heard_at[rows]

    @property
    def explanation(self) -> Explanation:
        """The decision in words: the candidates in their order, and the runner-up."""
        costs = self._terms.get("cost", self._ages_s * 0)
        best = tuple(map(self._candidate, np.argsort(costs, kind="stable").tolist()))
        runner_up = next((one.worker for one in best if one.worker != self._chosen), "")
        return Explanation(
            self._request_id, self._policy, self._chosen, self._reason, runner_up, best
        )

    def _candidate(self, at: int) -> Candidate:
        terms = {name: rounded(values.item(at)) for name, values in self._terms.items()}
        return Candidate(self._workers[at], rounded(self._ages_s.item(at)), terms)


def in_words(cuts: Cuts) -> str:
    """What a worker did with a prompt, for those who waited for their next tokens beside it."""
    said = (
        f"the prompt took {cuts.steps} steps, {cuts.cut} of them cut for the next tokens of "
        f"others, which were to come within {1000 * cuts.target_s:.3g} ms"
    )
    return f"{said}; in {cuts.beyond} that was not possible" if cuts.beyond else said


def rounded(value: float) -> float:
    """The value to its sixth decimal: to microseconds, where it is a time."""
    return round(value, 6)


class Outcome(StrEnum):
    """What became of an attempt."""

    ENDED = "ended"
    CANCELLED = "cancelled"
    """The client has left, or the call has failed."""
    LOST = "lost"
    """The worker failed it."""
    HANDED_OVER = "handed over"
    OUTRUN = "outrun"
    """Another worker's token came first."""
    PARKED = "parked"


@dataclass(slots=True)
class Attempt:
    """A request with one worker, until it leaves it."""

    request_id: str
    worker: str
    from_s: float
    """Seconds since the call's arrival."""
    to_s: float | None = None
    """None: it is still there."""
    outcome: Outcome | None = None
    why: str = ""
    known_tokens: int = 0
    """Of its prompt, and of its answer as far as that was known when it was sent."""
    cached_tokens: int = 0
    """Of those, which the worker had in its pages."""
    generated_tokens: int = 0
    began_s: float | None = None
    """When the worker has said that it computes it; None: it waits in the engine's queue."""
    first_token_s: float | None = None
    """When its first token came from there."""
    drafts: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(eq=False)
class Timeline:
    """What happens to one call, from its arrival."""

    call_id: str
    clock: Callable[[], float]
    tenant: str = ""
    """Whose call it is."""
    sequences: int = 1
    """How many requests it comes to: a decision for each is kept at least."""
    model: str = ""
    ended_s: float | None = None
    """When the call ended, however it did; None: it is still there."""
    arrived: float = 0.0
    decisions: list[Decision] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    _events: list[tuple[float, str, str]] = field(default_factory=list)
    _there: dict[tuple[str, str], Attempt] = field(default_factory=dict)
    """The attempts that have not ended, by request and worker."""

    def __post_init__(self) -> None:
        self.arrived = self.clock()

    @property
    def now_s(self) -> float:
        """Seconds since its arrival."""
        return rounded(self.clock() - self.arrived)

    def end(self) -> None:
        """The call is over."""
        self.ended_s = self.now_s

    @property
    def size(self) -> int:
        """What it counts as, among those that are kept."""
        return min(self.sequences, MOST_EVENTS)

    def note(self, name: str, detail: str = "") -> None:
        """Add an event that happens now."""
        if len(self._events) < MOST_EVENTS:
            self._events.append((self.now_s, name, detail))

    @property
    def events(self) -> tuple[TimelineEvent, ...]:
        """What has happened so far, in order."""
        return tuple(TimelineEvent(*one) for one in self._events)

    def sent(self, request_id: str, worker: str, known_tokens: int = 0) -> None:
        """A request goes to a worker, with so many tokens: an attempt begins."""
        self.note("sent", worker)
        if len(self.attempts) < MOST_EVENTS:
            attempt = Attempt(request_id, worker, self.now_s, known_tokens=known_tokens)
            self._there[request_id, worker] = attempt
            self.attempts.append(attempt)

    def began(self, request_id: str, worker: str) -> None:
        """A worker computes it from now on."""
        self.note("began", worker)
        if (attempt := self._there.get((request_id, worker))) is not None:
            attempt.began_s = self.now_s

    def has_begun(self, request_id: str) -> bool:
        """Whether some worker that has it now computes it."""
        return any(
            attempt.began_s is not None
            for (request, _), attempt in self._there.items()
            if request == request_id
        )

    def first_token(self, worker: str, delta: Delta) -> None:
        """A worker's first token has come, with what it says of the prompt."""
        if delta.cuts is not None:
            self.note("cut", f"{worker}, {in_words(delta.cuts)}")
        if (attempt := self._there.get((delta.request_id, worker))) is not None:
            attempt.first_token_s, attempt.cached_tokens = self.now_s, delta.cached_tokens

    def computed(self, worker: str, delta: Delta) -> None:
        """What a worker says of a request's drafts, with its end."""
        if delta.drafts:
            right = f"{delta.accepted} of {delta.drafted} tokens accepted"
            self.note("drafted", f"{worker}, {delta.drafts} drafts, {right}")
        if (attempt := self._there.get((delta.request_id, worker))) is not None:
            attempt.drafts, attempt.drafted_tokens = delta.drafts, delta.drafted
            attempt.accepted_tokens = delta.accepted

    def left(
        self, request_id: str, worker: str, outcome: Outcome, why: str = "", known_tokens: int = 0
    ) -> None:
        """A worker has no more to do with a request, of which so many tokens are known now."""
        if (attempt := self._there.pop((request_id, worker), None)) is not None:
            attempt.to_s, attempt.outcome, attempt.why = self.now_s, outcome, why
            attempt.generated_tokens = max(0, known_tokens - attempt.known_tokens)

    @property
    def snapshot(self) -> TimelineSnapshot:
        """The timeline as it is now."""
        return TimelineSnapshot(self.call_id, self.events, self.explanations)

    def decided(self, decision: Decision) -> None:
        """Keep a decision, to be explained when somebody asks."""
        if len(self.decisions) < MOST_EVENTS:
            self.decisions.append(decision)

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """The decisions in words."""
        return tuple(one.explanation for one in self.decisions)


class Timelines:
    """The timelines of the last calls. When there are too many, the oldest one of the tenant that
    has most of them makes room."""

    def __init__(self, most: int = MOST_TIMELINES, share_of: ShareOf = equal) -> None:
        self._shares = Shares(most, share_of)
        self._timelines: dict[str, Timeline] = {}
        self._of: dict[str, deque[Timeline]] = {}  # those of each tenant, oldest first

    def __len__(self) -> int:
        return len(self._timelines)

    @property
    def all(self) -> list[Timeline]:
        """Those that are kept."""
        return list(self._timelines.values())

    @property
    def most(self) -> int:
        """How many calls of one request are kept at most."""
        return round(self._shares.total)

    def begin(self, timeline: Timeline) -> None:
        """Keep a timeline; another one may have to go."""
        self._timelines[timeline.call_id] = timeline
        self._of.setdefault(timeline.tenant, deque()).append(timeline)
        self._shares.move_in(timeline.tenant, timeline.size)
        while self._shares.used > self._shares.total:
            theirs = self._of[self._shares.greediest]
            if theirs[0] is timeline:
                return  # it has just begun
            self._forget(theirs.popleft())

    def _forget(self, oldest: Timeline) -> None:
        del self._timelines[oldest.call_id]
        self._shares.give_back(oldest.tenant, oldest.size)
        if not self._of[oldest.tenant]:
            del self._of[oldest.tenant]

    def find(self, call_id: str, tenant: str | None = None) -> Timeline:
        """The timeline of a call of this tenant's; None: of anybody's. Raises NotFound, also for
        another's."""
        timeline = self._timelines.get(call_id)
        if timeline is None or tenant not in (None, timeline.tenant):
            raise NotFound(
                f"nothing is known of {shown(call_id)}; this router remembers at most its "
                f"last {self._shares.total} calls",
                param="id",
            )
        return timeline


def as_json(timeline: TimelineSnapshot) -> dict[str, Any]:
    """The form in which /explain and other routers get it."""
    return {
        "call_id": timeline.call_id,
        "moments": [asdict(event) for event in timeline.events],
        "choices": [asdict(explanation) for explanation in timeline.explanations],
    }


def from_json(values: dict[str, Any]) -> TimelineSnapshot:
    """The timeline that `as_json` made this of."""
    return TimelineSnapshot(
        values["call_id"],
        tuple(TimelineEvent(**one) for one in values["moments"]),
        tuple(
            Explanation(**{**one, "candidates": tuple(Candidate(**c) for c in one["candidates"])})
            for one in values["choices"]
        ),
    )
