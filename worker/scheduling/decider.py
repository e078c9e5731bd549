"""Asks for decisions: shows the scheduler who is here, and keeps what decisions go by from step to
step. It carries none of them out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.scheduling.decision.allowance import Allowance
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Division
from raylax.worker.scheduling.decision.giving_way import pending, seats, sums
from raylax.worker.scheduling.decision.page_out import is_put_aside
from raylax.worker.scheduling.decision.scheduler import Decision, StepLimits, schedule
from raylax.worker.scheduling.decision.sharing import Filling, Sharing
from raylax.worker.scheduling.decision.targets import is_saturated
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.pace.prefill_time import NO_PAST, Past
from raylax.worker.scheduling.pace.step_time import StepTimeModel
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import PREFILL, Sequence
from raylax.worker.speculation.row_cost import weighed_rows

MOST_PREEMPTED = 2
"""Times after which one of the lowest class gives way to the highest no more."""


@dataclass
class Decider:
    """What the next step of an engine computes, and for whom."""

    roster: Roster
    limits: StepLimits
    step_time: StepTimeModel = field(default_factory=StepTimeModel)
    saturated: bool = False
    """Many wait for their first tokens: steps are full until few do."""
    decodes_turn: bool = False
    """The last step that was decided had prefills, and the next one is to have none."""
    _allowance: Allowance = field(init=False)

    def __post_init__(self) -> None:
        self._allowance = Allowance(self.limits.tokens)

    def division(self) -> Division:
        """The engine divided among the tenants that are here."""
        running, waiting = self.roster.tenants.shares, self.roster.waiting.tenants.shares
        had = {tenant: self.roster.waiting.had(tenant) for tenant in {**running, **waiting}}
        return Division.among(running, waiting, self.limits.sequences, self.roster.pool.total, had)

    def decide(self, division: Division, running: list[Candidate]) -> Decision:
        """The decision, were those who run to stand like this."""
        if self.roster.waiting:
            self.roster.waiting.age()
        waiting, allowed = self._in_order(running, division), self._allowance.now
        pages, times = self.roster.pool.available, self.step_time.times
        limits, turn = self.limits_of(running), self.decodes_turn
        return schedule(running, waiting, pages, limits, division, allowed, times, turn)

    def limits_of(self, running: list[Candidate]) -> StepLimits:
        """Those of the next step: where nobody has set a target between two tokens, an engine that
        is saturated has none."""
        targets = self.limits.itl_s
        if None not in targets:
            return self.limits
        first = sum([one.phase is PREFILL for one in running]) + self.roster.waiting.ready
        self.saturated = is_saturated(first, self.saturated)
        return replace(self.limits, itl_s=targets.without_auto) if self.saturated else self.limits

    def _in_order(self, running: list[Candidate], division: Division) -> Iterator[Candidate]:
        """Who waits, in order of service. Behind as many as there are seats, all of whom wait for
        pages that others fill, nobody is looked at."""
        if self.roster.waiting.ready:
            claims = division.claims(sums(running, seats)) if division else {}
            wanted = sums(running, pending) if claims else {}
            filling = [filled_by(one) for one in self.roster.running.values() if is_prefill(one)]
            sharing = Sharing(filling, self.limits.sequences)
            for one in self.roster.waiting.in_order(claims, wanted):
                candidate = waiting_candidate(one, self.roster.holdings)
                if candidate.ready and self.roster.pool.prefix_cache:
                    found = candidate.computed // PAGE_SIZE
                    if sharing.holds_back(one.names, found, candidate.tenant):
                        candidate = candidate._replace(ready=False)
                        if sharing.is_over:
                            return
                yield candidate

    def puts_aside(self, one: Sequence) -> bool:
        """Whether what was computed of one that gives way is kept in host memory until it comes
        back. Not where nothing sees some of its pages any more."""
        if self.roster.sight.recent:
            return False
        swap, prefill = self.roster.swap, self.step_time.times.prefill
        return is_put_aside(one.computed, swap.free, swap.page_s, prefill)

    def came_back(self, one: Sequence) -> None:
        """It is admitted. If it gave way to others before, what it lost by that is paid for."""
        self._allowance.lost(one.gave_way - one.computed)
        one.gave_way = 0

    def learn(
        self, work: tuple[int, int, int], seconds: float, short: bool, past: Past = NO_PAST
    ) -> None:
        """A step of this work, see `work_of`, took so long; `past`: of its prefills."""
        prefill, rows, context = work
        weighed = rows if prefill else weighed_rows(rows, self.limits.tile_rows)
        self.step_time.learn(prefill, weighed, context + past.tokens, seconds, past.pairs)
        self._allowance.stepped(work[0] + work[1], seconds, short, self.step_time.value.a)


def running_candidates(running: Iterable[Sequence]) -> list[Candidate]:
    """Those that have their pages, in the order given."""
    return [
        Candidate(
            one.request.id,
            one.phase,
            one.pending,
            one.computed,
            len(one.pages) - len(one.behind),
            0,
            one.request.priority,
            one.suspect,
            True,
            one.request.tenant,
            len(one.draft),
            one.likely,
            0,
            False,
            one.announced,
            one.preempted >= MOST_PREEMPTED,
            len(one.behind),
        )  # by position: by name takes half as long again
        for one in running
    ]


def is_prefill(one: Sequence) -> bool:
    """It runs, and has tokens to compute before it draws any."""
    return one.phase is PREFILL


def filled_by(one: Sequence) -> Filling:
    """The pages that it fills, or has filled."""
    return Filling(one.names, one.request.tenant)


def waiting_candidate(one: Sequence, holdings: Holdings) -> Candidate:
    """The sequence as if it were admitted now, unless it is not ready."""
    request = one.request
    if not one.ready:
        return Candidate(request.id, PREFILL, len(one.tokens), 0, 0, ready=False)
    found = holdings.find(one)
    revived = sum(holdings.pool.is_cached(page) for page in found.held)
    return Candidate(
        request.id,
        PREFILL,
        len(one.tokens) - found.tokens,
        found.tokens,
        len(found.held),
        revived,
        request.priority,
        tenant=request.tenant,
        passed=one.passed,
        begun=one.begun,
        behind=len(found.behind),
    )
