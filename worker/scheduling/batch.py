"""Continuous batching: the sequences that are here share steps. Used by the engine thread alone.

Each step is: decide, lay out the plan, run it, draw tokens, commit. A device is given the step
behind it before what it draws is read, where that changes no decision (`ahead.py`). If running
fails, nothing was committed, and each sequence of that plan is tried alone. Who fails alone ends
with an error and its pages come back (law 3); the others go on where they were. A sequence from
whose rows nothing can be drawn ends alone at once: that is no failure of the step.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from raylax.kernels.model import PendingStep, StepOutput
from raylax.proto.vocabulary import Delta
from raylax.worker.errors import EngineLost
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.sampling.pooling import StateReader
from raylax.worker.sampling.sampler import Sampler, single_threaded
from raylax.worker.scheduling.ahead import flight_behind, followers
from raylax.worker.scheduling.answers import Answers
from raylax.worker.scheduling.branches import Branch, branched, drop
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.decider import Decider, running_candidates
from raylax.worker.scheduling.decision.cuts import CutNotes
from raylax.worker.scheduling.decision.scheduler import Decision, StepLimits
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.grammars import follow_grammars
from raylax.worker.scheduling.drafting.verification import verify
from raylax.worker.scheduling.flight import Flight, StepTrace, Untraced, past_of, work_of
from raylax.worker.scheduling.outcomes import StepFailed, draw_rows, draws_for, read_states
from raylax.worker.scheduling.pace.prefill_time import NO_PAST
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import PREFILL
from raylax.worker.scheduling.step_plan import StepPlan, Work, make_plan

log = logging.getLogger(__name__)
Run = Callable[[StepPlan], StepOutput]
Submit = Callable[[StepPlan], PendingStep]
Beside = Callable[[list[Work]], AbstractContextManager[None]]


def nobody(request_ids: list[str]) -> None:
    """The listener of whoever does not want to know who began."""


def alone(batch: list[Work]) -> AbstractContextManager[None]:
    """Nothing is done beside a step."""
    return nullcontext()


@dataclass
class Batch:
    """Runs the steps of one engine."""

    roster: Roster
    """Whose steps they are."""
    limits: StepLimits
    run: Run
    began: Callable[[list[str]], None] = nobody
    """Told who is admitted for the first time, before the step that computes some of them."""
    model_draws: bool = False
    """Whether `run` draws by the rules of its plan."""
    submit: Submit | None = None
    """In the place of `run` where a device does a step while the next one is decided."""
    proposer: Proposer | None = None
    """Who proposes what may follow; None: nobody."""
    sampler: Sampler = field(default_factory=single_threaded)
    """Draws from the logits of `run`, where that does not."""
    beside: Beside = alone
    """What is done for these sequences while a step runs, in which they are."""
    states: StateReader | None = None
    """Reads what vectors are made of that are not of the last row; None: there are no others."""
    trace: StepTrace = field(default_factory=Untraced)
    part_clock: Callable[[], float] = time.perf_counter
    """By which the parts of a step are measured."""
    decider: Decider = field(init=False)
    _answers: Answers = field(init=False)
    _cuts: CutNotes = field(default_factory=CutNotes)
    _flight: Flight | None = None
    """The device has it already: it was decided before what the last one draws was read."""
    _part_begun: float = 0.0
    _ended: float = -math.inf
    """When the last step was."""

    def __post_init__(self) -> None:
        roster, self.decider = self.roster, Decider(self.roster, self.limits)
        self._answers = Answers(roster.counters, roster.waiting, roster.holdings)

    @property
    def counters(self) -> Counters:
        """What it has done."""
        return self.roster.counters

    def step(self) -> list[Delta]:
        """One step of the model; every sequence that ended or grew has a delta."""
        self.trace.begin()
        self._part_begun = self.part_clock()
        flight, self._flight = self._flight, None
        if flight is None or not flight.left(self.roster.running):
            flight = self._next()
            self._mark("decide")
        elif self.proposer is not None:
            self.proposer.go_on(flight.left(self.roster.running))
        if flight is None:
            return []
        try:
            return self._fly(flight)
        finally:
            drop(self.roster.holdings, flight.branches)

    def _fly(self, flight: Flight) -> list[Delta]:
        """Run a step and commit it."""
        plan = flight.plan
        try:
            with self.beside(flight.batch):
                output = self._run(flight)
            self._mark("run")
        except EngineLost:
            raise  # there will be no further step
        except Exception as error:
            self._flight = None
            self._mark("failed run")
            message = f"step {plan.number} failed: {type(error).__name__}: {error}"
            raise StepFailed(message, self._blame(flight)) from error
        if self.states is not None:
            read_states(flight.batch, self.states)
        drawn = draw_rows(flight.batch, output, plan.batch.draws, self.sampler, flight.branches)
        if self.proposer is not None and not (self.proposer.rests and flight.only_decodes):
            overtaken = flight.pending is not None and not flight.pending.is_last
            there = None if overtaken else output
            parts = flight.batch, flight.branches, drawn, there
            verify(self.proposer, self.counters, self.roster.holdings, *parts)
        self._count("draw")
        self.trace.drew(flight, drawn)
        deltas = self._commit(flight.batch, drawn)
        self._count("commit")
        self.counters.stepped(flight.work[0] + flight.work[1])
        self.trace.committed(flight, self.roster.pool.evicted)
        began, self._ended = max(flight.begun, self._ended), self.roster.clock()
        self.decider.learn(flight.work, self._ended - began, flight.short, flight.past)
        self.counters.sums.add(flight.work, self._ended - began, self.decider.step_time.value)
        return deltas

    def _mark(self, part: str) -> None:
        """This part of a step ends: the next one begins."""
        self._count(part)
        self.trace.mark(part)

    def _count(self, part: str) -> None:
        begun, self._part_begun = self._part_begun, self.part_clock()
        self.counters.part_s[part] += self._part_begun - begun

    def _next(self) -> Flight | None:
        """The next step; None if there is nothing to compute."""
        decision = self._decide()
        batch = self._apply(decision)
        if not batch:
            return None
        self.counters.steps += 1
        chunked = self.limits.chunked
        prefills = [(one, count) for one, count, _ in batch if one.phase is PREFILL]
        self.decider.decodes_turn = chunked and bool(prefills)
        others = len(batch) - len(prefills)
        self._cuts.take(prefills, others, decision.budget, self.limits)
        branches = self._branch(batch)
        draws = draws_for(batch, branches) if self.model_draws else None
        along = [(branch, branch.count, branch.wanted) for branch in branches]
        plan = make_plan(self.counters.steps, [*batch, *along], draws)
        work = work_of(batch, sum([branch.count for branch in branches]))
        past = past_of(batch) if work[0] else NO_PAST
        begun, short = self.roster.clock(), decision.short
        return Flight(plan, batch, work, begun, short, branches=branches, past=past)

    def _branch(self, batch: list[Work]) -> list[Branch]:
        """What else of a step verifies drafts, in what it has room for."""
        if self.proposer is None:
            return []
        tokens = self.limits.tokens - sum([count for _, count, _ in batch])
        rows = self.limits.sequences + self.limits.drafted - sum([rows for _, _, rows in batch])
        return list(branched(batch, self.roster.holdings, tokens, rows))

    def _run(self, flight: Flight) -> StepOutput:
        """What a step comes to. A device is given the one behind it before it is done."""
        if self.submit is None:
            return self.run(flight.plan)
        if (pending := flight.pending) is None:
            flight.pending = pending = self.submit(flight.plan)
            self._mark("submit")
        self._flight = self._ahead(flight) if pending.is_last else None
        self._mark("decide ahead")
        return pending.output()

    def _ahead(self, flight: Flight) -> Flight | None:
        """Decide and submit the step behind one that is under way, if its decision needs nothing
        of that; None if it does, if somebody waits for what is given back behind it, or if drafts
        may follow what it draws."""
        assert self.submit is not None
        batch = followers(flight, self.roster.running)
        if not batch or (len(batch) < len(self.roster.running) and self.roster.waiting.ready):
            return None
        decision = self.decider.decide(self.decider.division(), [one.candidate for one in batch])
        if decision != Decision([(follower.one.request.id, 1) for follower in batch]):
            return None
        if self.proposer is not None:
            decodes = [follower.one for follower in batch]
            if self.proposer.awaits(decodes, self.decider.step_time.value):
                return None
        for one, _, position in batch:
            self.roster.holdings.reserve(one, position + 1)
        self.counters.steps += 1
        self.decider.decodes_turn = False
        behind = flight_behind(self.counters.steps, batch, self.roster.clock())
        try:
            behind.pending = self.submit(behind.plan)
        except EngineLost:
            raise
        except Exception:  # whose it is shows when it is tried in its turn
            log.exception("step %d failed before its time", behind.plan.number)
            return None
        return behind

    # Decide

    def _decide(self) -> Decision:
        """The decision for the next step, after preempting until the pages suffice. Each time is a
        look at how many really came back: a page that others share does not."""
        running, decider = self.roster.running, self.decider
        if self.proposer is not None:
            decodes = [one for one in running.values() if one.drafts_may_follow]
            self.proposer.propose(decodes, decider.step_time.value)
            follow_grammars(decodes, self.limits.drafted)
            self._mark("draft")
        division = decider.division()
        while (decision := decider.decide(division, running_candidates(running.values()))).preempt:
            for request_id in decision.preempt:
                self.trace.preempted(running[request_id])
                aside = decider.puts_aside(running[request_id])
                self.roster.preempt(request_id, decision.for_others, aside)
        return decision

    # Act

    def _apply(self, decision: Decision) -> list[Work]:
        for request_id in decision.passed:
            self.roster.pass_by(request_id)
        if new := [request_id for request_id in decision.admit if self._admit(request_id)]:
            self.began(new)
        for request_id in decision.admit:
            self.roster.holdings.index_back(self.roster.running[request_id])
        batch = [
            (one := self.roster.running[request_id], count, one.rows_wanted(count))
            for request_id, count in decision.steps
        ]
        for one, count, _ in batch:
            self.roster.holdings.reserve(one, one.computed + count)
        return batch

    def _admit(self, request_id: str) -> bool:
        """Let one run that waits; whether it is the first time."""
        one = self.roster.admit(request_id)
        self.trace.admitted(one)
        self.decider.came_back(one)
        if first := not one.begun:
            one.cached_tokens = min(one.computed, len(one.request.prompt))
            self.counters.cached_tokens += one.cached_tokens
        return first

    def _blame(self, failed: Flight) -> list[str]:
        """End who was alone in a step that failed, and return its id. The others keep their pages:
        what the step may have written there lies behind all that counts as computed, and is written
        again."""
        left = failed.left(self.roster.running)
        if len(failed.batch) > 1:
            for one in left:
                one.suspect = True
            return []
        self.roster.remove(left[0].request.id)
        return [left[0].request.id]

    # Commit

    def _commit(self, batch: list[Work], drawn: dict[str, list[DrawResult]]) -> list[Delta]:
        deltas = list[Delta]()
        for one, count, wanted in batch:
            request_id = one.request.id
            if self.roster.running.get(request_id) is not one:
                continue  # it has left while the step was under way
            results = drawn.get(request_id, [])
            if results:
                count += len(results) - wanted  # less where drafts were wrong
            said = self._answers.take(one, count, results)
            if said and said[-1].finish is not None:
                self.roster.remove(request_id)
            deltas += said
        return deltas
