"""Finds a worker for each request, and another one when that is lost, drains or is late.

Nothing is lost on the way: a request without a worker waits for one, and asks again with growing
pauses, until its time or the router's patience is over. Where one starts, that is worth waiting for
as long as a call may wait for its turn.
"""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from raylax.proto.errors import EngineFailure, WorkerUnavailable
from raylax.proto.vocabulary import Delta, Fault
from raylax.router.calls.hedging import HedgePolicy
from raylax.router.calls.journal import Journal, JournalEntry
from raylax.router.calls.retry_budget import RetryBudget
from raylax.router.observe.timeline import Decision, Outcome
from raylax.router.policies.base import NoCandidate
from raylax.router.workers.inbox import (
    HedgeDue,
    Notice,
    RetryDue,
    WorkerDraining,
    WorkerLost,
)
from raylax.router.workers.registry import Route, Workers

RETRY_AFTER_S = 1.0
SHORTEST_S, LONGEST_S = 0.02, 0.5
"""The pauses between two looks for a worker."""


@dataclass
class Dispatcher:
    """Brings the requests of one model's calls to its workers. Used on one event loop."""

    workers: Workers
    clock: Callable[[], float]
    rng: random.Random
    policy_name: str
    patience_s: float
    """How long a request may be without a worker while none is on its way."""
    max_wait_s: float
    """How long it may be while one is."""
    next_ready_s: Callable[[float], float | None]
    """Seconds until the next worker is expected, of a time; None: none is on its way."""
    hedge_policy: HedgePolicy = field(default_factory=HedgePolicy)
    journal: Journal = field(default_factory=Journal)
    retry_budget: RetryBudget = field(default_factory=RetryBudget)

    def begin(self, entry: JournalEntry) -> None:
        """Take a request up and place it. Raises WorkerUnavailable as `place`."""
        self.journal.begin(entry)
        self.hedge_policy.began()
        self.place(entry)

    def place(self, entry: JournalEntry, pages_at: str = "") -> None:
        """Send a request to a worker; if there is none now, look again soon. `pages_at`: address of
        a worker that may still have its pages. Raises WorkerUnavailable when it has been without
        one for too long."""
        if (route := self._route(entry, frozenset(entry.failed_on), pages_at)) is None:
            self._look_again(entry)
            return
        entry.workers, entry.parked = [route.worker], ()
        self._send(entry, route)
        entry.sent_at, entry.predicted_s = self.clock(), route.choice.ttft_s
        delay_s = self.hedge_policy.delay_s(entry.predicted_s)
        if delay_s is not None and not entry.emitted:
            self._later(entry, delay_s, HedgeDue(entry.request.id))

    def hedge(self, entry: JournalEntry) -> None:
        """Try a second worker as well, if that is within the budget: the first token is late."""
        if (
            entry.emitted
            or len(entry.workers) != 1
            or not self.hedge_policy.allowed(self.workers.ledger.fleet)
        ):
            return
        route = self._route(entry, frozenset(entry.workers))
        if route is not None and route.worker not in entry.workers:
            entry.workers.append(route.worker)
            entry.timeline.note("hedged", route.worker)
            self._send(entry, route)

    def settle(self, entry: JournalEntry, winner: str) -> None:
        """Stop a request at its other workers: the winner's token came first."""
        for worker in entry.workers:
            if worker != winner:
                self._withdraw(entry, worker, Outcome.OUTRUN)
        entry.workers = [winner]

    def lost(self, entry: JournalEntry, lost: WorkerLost) -> None:
        """Move a request whose worker is lost. Raises EngineFailure when workers die of it, and
        WorkerUnavailable as `place`."""
        if not self._gone(entry, lost.worker, f"{lost.worker} is lost: {lost.why}"):
            return
        if entry.blame(lost):
            raise EngineFailure(
                f"this request was being computed on {entry.moves + 1} workers when they were "
                "lost; it is not tried on another one"
            )
        self._move(entry)

    def given_up(self, entry: JournalEntry, worker: str, delta: Delta) -> bool:
        """Move a request that its worker ended early, mostly by no fault of the request. Returns
        False when its client is to be told instead."""
        why = delta.error or "it ended its requests"
        if not self._gone(entry, worker, f"{worker} gave it up: {why}") or entry.workers:
            return True
        if delta.error and delta.fault is not Fault.OVERLOADED:
            self.workers.failed(worker)
        if delta.error and delta.fault is Fault.ENGINE:  # its step failed, and it alone was in it
            entry.strikes += 1
            if entry.strikes > 1:
                return False
        if delta.fault is Fault.OVERLOADED and not entry.emitted and not self._others(entry):
            return False
        self._move(entry)
        return True

    def draining(self, entry: JournalEntry, draining: WorkerDraining) -> None:
        """Move a request on from a worker that drains. While there is no other one it stays, and
        the old one waits for it."""
        if draining.worker not in entry.workers:
            return
        if len(entry.workers) > 1:
            entry.workers.remove(draining.worker)
            self._withdraw(entry, draining.worker, Outcome.HANDED_OVER)
            return
        if not self.workers.ready:
            self._later(entry, LONGEST_S, draining)
            return
        pages_at = self.workers.address_of(draining.worker)
        self._withdraw(entry, draining.worker, Outcome.HANDED_OVER)
        entry.workers = []
        entry.timeline.note("handed over", f"{draining.worker} drains")
        self.place(entry, pages_at)

    def answered(self, entry: JournalEntry) -> None:
        """Learn from how long the first token took."""
        if not entry.moves:
            self.hedge_policy.answered(entry.predicted_s, self.clock() - entry.sent_at)

    def park(self, entry: JournalEntry, outcome: Outcome = Outcome.PARKED) -> None:
        """Take a request off its workers; `place` brings it back."""
        for worker in entry.workers:
            self._withdraw(entry, worker, outcome)
        entry.workers, entry.parked = [], tuple(entry.workers)
        entry.stop_timers()

    def forget(self, request_id: str) -> None:
        """Drop a request that has ended for its client, wherever it still runs."""
        if (entry := self.journal.end(request_id)) is not None:
            self.park(entry, Outcome.CANCELLED)

    def _withdraw(self, entry: JournalEntry, worker: str, outcome: Outcome) -> None:
        self.workers.cancel(worker, entry.request.id)
        entry.timeline.left(entry.request.id, worker, outcome, known_tokens=entry.known_tokens)

    def _gone(self, entry: JournalEntry, worker: str, why: str) -> bool:
        """Count a worker's failure of a request; False if the request was not there any more."""
        if worker not in entry.workers:
            return False
        entry.workers.remove(worker)
        self.workers.ledger.ended(worker, entry.request.id)
        entry.failed_on.add(worker)
        entry.moves += 1
        entry.timeline.note("lost", why)
        known = entry.known_tokens
        entry.timeline.left(entry.request.id, worker, Outcome.LOST, why, known)
        return True

    def _move(self, entry: JournalEntry) -> None:
        """Place a request at once where it has not failed, else after a pause."""
        if entry.workers:
            return
        if self._others(entry) and self.retry_budget.take(entry.request.tenant, self.clock()):
            self.place(entry)
        else:
            self._look_again(entry)

    def _others(self, entry: JournalEntry) -> bool:
        return any(worker not in entry.failed_on for worker in self.workers.ready)

    def _route(
        self, entry: JournalEntry, avoid: frozenset[str], pages_at: str = ""
    ) -> Route | None:
        resumption = entry.resumption(self.clock(), pages_at)
        try:
            return self.workers.route(entry.request, entry.session, avoid, resumption)
        except NoCandidate:
            return None

    def _send(self, entry: JournalEntry, route: Route) -> None:
        fleet = self.workers.ledger.fleet
        entry.timeline.decided(Decision(entry.request.id, self.policy_name, route.choice, fleet))
        entry.timeline.sent(entry.request.id, route.worker, entry.known_tokens)
        entry.unheard = True
        self.workers.submit(route, entry.inbox, entry.coalesce)

    def _look_again(self, entry: JournalEntry) -> None:
        now = self.clock()
        if entry.tries == 0:
            entry.waits_since = now
            entry.timeline.note("waits for a worker")
        else:
            self._check_patience(now - entry.waits_since, now)
        entry.tries += 1
        pause = min(LONGEST_S, SHORTEST_S * 2.0 ** min(entry.tries, 10))
        self._later(entry, pause * self.rng.uniform(0.5, 1.0), RetryDue(entry.request.id))

    def _check_patience(self, waited_s: float, now: float) -> None:
        """Raises WorkerUnavailable for who has waited for too long."""
        limit_s, ready_s, why = self.patience_s, self.next_ready_s(now), "none is on its way"
        if ready_s is not None:
            limit_s = max(limit_s, self.max_wait_s)
            why = f"the next one is expected in {ready_s:.0f} s"
        if waited_s > limit_s:
            raise WorkerUnavailable(
                f"no worker was ready within {limit_s:g} s; {why}",
                retry_after_s=max(RETRY_AFTER_S, math.ceil(ready_s or 0.0)),
            )

    def _later(self, entry: JournalEntry, seconds: float, item: Notice) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, entry.inbox.put, item)
        entry.timers = [*(one for one in entry.timers if one.when() > timer.when()), timer]
