"""Continuous batching: sequences come, share steps, and leave. Used by the engine thread alone.

Each `step` is: decide, lay out the plan, run it, draw tokens, commit. A device is given the step
behind it before what it draws is read, where that changes no decision (`ahead.py`). If running
fails, nothing was committed, and each sequence of that plan is tried alone. Who fails alone ends
with an error and its pages come back (law 3); the others go on where they were. A sequence from
whose rows nothing can be drawn ends alone at once: that is no failure of the step.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, ValuesView
from dataclasses import dataclass, field

from raylax.kernels.model import PendingStep, StepOutput
from raylax.proto.pages import pages_for
from raylax.proto.vocabulary import Delta
from raylax.worker.errors import EngineLost
from raylax.worker.kv.page_pool import PageChanges, PagePool
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.sampling.sampler import Sampler, single_threaded
from raylax.worker.scheduling.ahead import flight_behind, followers
from raylax.worker.scheduling.answers import Answers
from raylax.worker.scheduling.branches import Branch, branched, drop
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.decision.allowance import Allowance
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Division, PresentTenants
from raylax.worker.scheduling.decision.giving_way import pending, seats, sums
from raylax.worker.scheduling.decision.scheduler import Decision, StepLimits, schedule
from raylax.worker.scheduling.decision.step_time import StepTimeModel
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.verification import verify
from raylax.worker.scheduling.flight import Flight, StepTrace, Untraced, work_of
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.outcomes import StepFailed, draw_rows, draws_for
from raylax.worker.scheduling.readiness import Need
from raylax.worker.scheduling.sequence import PREFILL, Sequence
from raylax.worker.scheduling.snapshot import running_candidates, waiting_candidate
from raylax.worker.scheduling.step_plan import StepPlan, Work, make_plan
from raylax.worker.scheduling.waiting_queue import WaitingQueue

log = logging.getLogger(__name__)
Run = Callable[[StepPlan], StepOutput]
Submit = Callable[[StepPlan], PendingStep]


def nobody(request_ids: list[str]) -> None:
    """The listener of whoever does not want to know who began."""


@dataclass
class Batch:
    """The sequences of one engine and their pages."""

    pool: PagePool
    limits: StepLimits
    run: Run
    clock: Callable[[], float] = time.monotonic
    began: Callable[[list[str]], None] = nobody
    """Told who is admitted for the first time, before the step that computes some of them."""
    model_draws: bool = False
    """Whether `run` draws by the rules of its plan."""
    submit: Submit | None = None
    """In the place of `run` where a device does a step while the next one is decided."""
    proposer: Proposer | None = None
    """Who proposes what may follow; not for who draws by itself, or is given steps ahead."""
    sampler: Sampler = field(default_factory=single_threaded)
    """Draws from the logits of `run`, where that does not."""
    trace: StepTrace = field(default_factory=Untraced)
    waiting: WaitingQueue = field(init=False)
    counters: Counters = field(default_factory=Counters)
    step_time: StepTimeModel = field(default_factory=StepTimeModel)
    _holdings: Holdings = field(init=False)
    _answers: Answers = field(init=False)
    _running: dict[str, Sequence] = field(default_factory=dict)
    """By id, in order of admission."""
    _tenants: PresentTenants = field(default_factory=PresentTenants)
    """Of those."""
    _allowance: Allowance = field(init=False)
    _earliest: float = math.inf
    """No deadline is before this."""
    _flight: Flight | None = None
    """The device has it already: it was decided before what the last one draws was read."""
    _ended: float = -math.inf
    """When the last step was."""
    _decodes_turn: bool = False
    """The last step that was decided had prefills."""

    def __post_init__(self) -> None:
        self.waiting, self._holdings = WaitingQueue(self.clock), Holdings(self.pool)
        self._answers = Answers(self.counters, self.waiting, self._holdings)
        self._allowance = Allowance(self.limits.tokens)

    @property
    def running(self) -> ValuesView[Sequence]:
        """In order of admission."""
        return self._running.values()

    @property
    def idle(self) -> bool:
        """Nobody is here."""
        return not self.waiting and not self._running

    @property
    def runnable(self) -> bool:
        """A step has something to compute: not so while all who are here wait for their needs."""
        return bool(self._running or self.waiting.ready)

    def due_in(self, now: float) -> float | None:
        """Seconds until a deadline may have passed; None if there is none."""
        return None if self._earliest == math.inf else max(0.0, self._earliest - now)

    def add(self, one: Sequence) -> None:
        """Let a sequence wait. ValueError for one that could never run, even alone: it would wait
        for ever."""
        longest, deadline = len(one.request.prompt) + one.max_tokens, one.deadline
        if pages_for(longest) > self.pool.total:
            raise ValueError(
                f"a sequence of {longest} tokens needs {pages_for(longest)} pages, "
                f"there are {self.pool.total}"
            )
        self.pool.unpin_down_to(self.pool.total - pages_for(longest))
        self.waiting.put_last(one, known=self._holdings.known(one))
        self.counters.prompt_tokens += len(one.request.prompt)
        self._earliest = min(self._earliest, math.inf if deadline is None else deadline)

    def meet_need(self, request_id: str, need: Need) -> None:
        """A waiting sequence needs this no more. One that is not here is no error."""
        if (one := self.waiting.get(request_id)) is not None:
            one.needs -= {need}
            self.waiting.recount(one, known=self._holdings.known(one))

    def remove(self, request_id: str) -> bool:
        """Take a sequence out, wherever it is; False if it is not here."""
        if (one := self._running.get(request_id)) is not None:
            if one.request.pin:
                self._pin(one)
            self._stop(request_id)
            return True
        return self.waiting.pop(request_id) is not None

    def _pin(self, ending: Sequence) -> None:
        """Keep the pages of its prompt, as far as each of the others could still run alone."""
        self._holdings.pin(ending)
        others = (one for one in self.everyone() if one is not ending)
        longest = max((len(one.request.prompt) + one.max_tokens for one in others), default=0)
        self.pool.unpin_down_to(self.pool.total - pages_for(longest))

    def everyone(self) -> Iterator[Sequence]:
        """Who runs and who waits, as it is now: they may be removed meanwhile."""
        yield from tuple(self._running.values())
        yield from tuple(self.waiting)

    def expire(self, now: float) -> list[str]:
        """Remove those whose deadline has passed, and return their ids. Looks at them only when one
        has."""
        if now < self._earliest:
            return []
        due = {one.request.id: one.deadline for one in self.everyone() if one.deadline is not None}
        late = [request_id for request_id, deadline in due.items() if deadline <= now]
        for request_id in late:
            self.remove(request_id)
            del due[request_id]
        self._earliest = min(due.values(), default=math.inf)
        return late

    def step(self) -> list[Delta]:
        """One step of the model; every sequence that ended or grew has a delta."""
        self.trace.begin()
        flight, self._flight = self._flight, None
        if flight is None or not flight.left(self._running):
            flight = self._next()
            self.trace.mark("decide")
        if flight is None:
            return []
        try:
            return self._fly(flight)
        finally:
            drop(self._holdings, flight.branches)

    def _fly(self, flight: Flight) -> list[Delta]:
        """Run a step and commit it."""
        plan = flight.plan
        try:
            output = self._run(flight)
            self.trace.mark("run")
        except EngineLost:
            raise  # there will be no further step
        except Exception as error:
            self._flight = None
            self.trace.mark("failed run")
            message = f"step {plan.number} failed: {type(error).__name__}: {error}"
            raise StepFailed(message, self._blame(flight)) from error
        drawn = draw_rows(flight.batch, output, plan.batch.draws, self.sampler, flight.branches)
        if self.proposer is not None:
            parts = flight.batch, flight.branches, drawn, output
            verify(self.proposer, self.counters, self._holdings, *parts)
        self.trace.drew(flight, drawn)
        deltas = self._commit(flight.batch, drawn)
        self.trace.committed(flight, self.pool.evicted)
        began, self._ended = max(flight.begun, self._ended), self.clock()
        self._learn(flight.work, self._ended - began, flight.short)
        return deltas

    def _next(self) -> Flight | None:
        """The next step; None if there is nothing to compute."""
        decision = self._decide()
        batch = self._apply(decision)
        if not batch:
            return None
        self.counters.steps += 1
        chunked = self.limits.chunked
        self._decodes_turn = chunked and any(one.phase is PREFILL for one, _, _ in batch)
        draws = draws_for(batch) if self.model_draws else None
        branches = self._branch(batch)
        along = [(branch, branch.count, branch.wanted) for branch in branches]
        plan = make_plan(self.counters.steps, [*batch, *along], draws)
        work = work_of(batch, sum([branch.count for branch in branches]))
        return Flight(plan, batch, work, self.clock(), decision.short, branches=branches)

    def _branch(self, batch: list[Work]) -> list[Branch]:
        """What else of a step verifies drafts, in what it has room for."""
        if self.proposer is None:
            return []
        tokens = self.limits.tokens - sum([count for _, count, _ in batch])
        rows = self.limits.sequences + self.limits.drafted - sum([rows for _, _, rows in batch])
        return list(branched(batch, self._holdings, tokens, rows))

    def _run(self, flight: Flight) -> StepOutput:
        """What a step comes to. A device is given the one behind it before it is done."""
        if self.submit is None:
            return self.run(flight.plan)
        if (pending := flight.pending) is None:
            flight.pending = pending = self.submit(flight.plan)
            self.trace.mark("submit")
        self._flight = self._ahead(flight) if pending.is_last else None
        self.trace.mark("decide ahead")
        return pending.output()

    def _ahead(self, flight: Flight) -> Flight | None:
        """Decide and submit the step behind one that is under way, if its decision needs nothing
        of that; None if it does, or if somebody waits for what is given back behind it."""
        assert self.submit is not None
        batch = followers(flight, self._running)
        if not batch or (len(batch) < len(self._running) and self.waiting.ready):
            return None
        decision = self._schedule(self._division(), [one.candidate for one in batch])
        if decision != Decision([(follower.one.request.id, 1) for follower in batch]):
            return None
        for one, _, position in batch:
            self._holdings.reserve(one, position + 1)
        self.counters.steps += 1
        self._decodes_turn = False
        behind = flight_behind(self.counters.steps, batch, self.clock())
        try:
            behind.pending = self.submit(behind.plan)
        except EngineLost:
            raise
        except Exception:  # whose it is shows when it is tried in its turn
            log.exception("step %d failed before its time", behind.plan.number)
            return None
        return behind

    def changes(self) -> PageChanges:
        """Which pages can be found and which cannot any more, since the last call."""
        return self.pool.changes()

    # Decide

    def _decide(self) -> Decision:
        """The decision for the next step, after preempting until the pages suffice. Each time is a
        look at how many really came back: a page that others share does not."""
        if self.proposer is not None:
            decodes = [one for one in self.running if one.drafts_may_follow]
            self.proposer.propose(decodes, self.step_time.value)
            self.trace.mark("draft")
        division = self._division()
        while (decision := self._schedule(division, running_candidates(self.running))).preempt:
            for request_id in decision.preempt:
                self._preempt(request_id, decision.for_others)
        return decision

    def _division(self) -> Division:
        running, waiting = self._tenants.shares, self.waiting.tenants.shares
        had = {tenant: self.waiting.had(tenant) for tenant in {**running, **waiting}}
        return Division.among(running, waiting, self.limits.sequences, self.pool.total, had)

    def _schedule(self, division: Division, running: list[Candidate]) -> Decision:
        if self.waiting:
            self.waiting.age()
        waiting, allowed = self._in_order(running, division), self._allowance.now
        pages, time = self.pool.available, self.step_time.value
        turn = self._decodes_turn
        return schedule(running, waiting, pages, self.limits, division, allowed, time, turn)

    def _in_order(self, running: list[Candidate], division: Division) -> Iterator[Candidate]:
        """Who waits, in order of service."""
        if self.waiting.ready:
            claims = division.claims(sums(running, seats)) if division else {}
            wanted = sums(running, pending) if claims else {}
            for one in self.waiting.in_order(claims, wanted):
                yield waiting_candidate(one, self._holdings)

    # Act

    def _apply(self, decision: Decision) -> list[Work]:
        if new := [request_id for request_id in decision.admit if self._admit(request_id)]:
            self.began(new)
        batch = [
            (one := self._running[request_id], count, one.rows_wanted(count))
            for request_id, count in decision.steps
        ]
        for one, count, _ in batch:
            self._holdings.reserve(one, one.computed + count)
        return batch

    def _admit(self, request_id: str) -> bool:
        """Move a sequence from the queue into the batch; whether it is the first time."""
        one = self.waiting.serve(request_id)
        self._holdings.take_known(one)
        self.trace.admitted(one)
        self._allowance.lost(one.gave_way - one.computed)
        one.gave_way = 0
        if first := not one.begun:
            one.cached_tokens = min(one.computed, len(one.request.prompt))
            self.counters.cached_tokens += one.cached_tokens
        self._holdings.reserve(one, len(one.tokens))
        self._running[request_id] = one
        self._tenants.count(one.request, 1)
        return first

    def _preempt(self, request_id: str, for_others: bool) -> None:
        one = self._running[request_id]
        self.trace.preempted(one)
        one.gave_way = one.computed if for_others else 0
        self._stop(request_id)
        self.waiting.put_first(one, known=self._holdings.known(one))
        self.counters.preemptions += 1

    def _stop(self, request_id: str) -> Sequence:
        """Take out one that runs."""
        one = self._running.pop(request_id)
        self._tenants.count(one.request, -1)
        self._holdings.give_back(one)
        return one

    def _blame(self, failed: Flight) -> list[str]:
        """End who was alone in a step that failed, and return its id. The others keep their pages:
        what the step may have written there lies behind all that counts as computed, and is written
        again."""
        left = failed.left(self._running)
        if len(failed.batch) > 1:
            for one in left:
                one.suspect = True
            return []
        self.remove(left[0].request.id)
        return [left[0].request.id]

    # Commit

    def _learn(self, work: tuple[int, int, int], seconds: float, short: bool) -> None:
        """How long the step took, and what it is worth."""
        self.step_time.learn(*work, seconds)
        self.counters.sums.add(work, seconds, self.step_time.value)
        self._allowance.stepped(work[0] + work[1], seconds, short, self.step_time.value.a)

    def _commit(self, batch: list[Work], drawn: dict[str, list[DrawResult]]) -> list[Delta]:
        deltas = list[Delta]()
        for one, count, wanted in batch:
            request_id = one.request.id
            if self._running.get(request_id) is not one:
                continue  # it has left while the step was under way
            results = drawn.get(request_id, [])
            if results:
                count += len(results) - wanted  # less where drafts were wrong
            said = self._answers.take(one, count, results)
            if said and said[-1].finish is not None:
                self.remove(request_id)
            deltas += said
        return deltas
