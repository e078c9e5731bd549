"""Who is in an engine, and with which pages: sequences come, wait, run, give way, and leave.

What a step does with them is the batch's. Used by the engine thread alone.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from raylax.proto.grammar.matcher import Matcher
from raylax.proto.pages import pages_for
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.kv.sight import ALL, Sight
from raylax.worker.kv.swap import Swap, no_swap
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.decision.division import PresentTenants
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.readiness import Need
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.waiting_queue import WaitingQueue


@dataclass
class Roster:
    """The sequences of one engine: each waits, or runs, and is here once."""

    pool: PagePool
    clock: Callable[[], float] = time.monotonic
    counters: Counters = field(default_factory=Counters)
    sight: Sight = ALL
    """The model's."""
    swap: Swap = field(default_factory=no_swap)
    """Where pages are kept of those who gave way."""
    waiting: WaitingQueue = field(init=False)
    running: dict[str, Sequence] = field(init=False, default_factory=dict)
    """By id, in order of admission. Nobody else changes it."""
    tenants: PresentTenants = field(init=False, default_factory=PresentTenants)
    """Of those who run."""
    holdings: Holdings = field(init=False)
    _earliest: float = math.inf
    """No deadline is before this."""

    def __post_init__(self) -> None:
        self.waiting = WaitingQueue(self.clock)
        self.holdings = Holdings(self.pool, self.sight, self.swap)

    @property
    def idle(self) -> bool:
        """Nobody is here."""
        return not self.waiting and not self.running

    @property
    def runnable(self) -> bool:
        """A step has something to compute: not so while all who are here wait for their needs."""
        return bool(self.running or self.waiting.ready)

    def everyone(self) -> Iterator[Sequence]:
        """Who runs and who waits, as it is now: they may be removed meanwhile."""
        yield from tuple(self.running.values())
        yield from tuple(self.waiting)

    # Who comes and goes

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
        self.waiting.put_last(one, known=self.holdings.known(one))
        self.counters.prompt_tokens += len(one.request.prompt)
        self._earliest = min(self._earliest, math.inf if deadline is None else deadline)

    def meet_need(self, request_id: str, need: Need) -> None:
        """A waiting sequence needs this no more. One that is not here is no error."""
        if (one := self.waiting.get(request_id)) is not None:
            one.needs -= {need}
            self.waiting.recount(one, known=self.holdings.known(one))

    def take_matcher(self, request_id: str, matcher: Matcher) -> None:
        """What follows the answer of a waiting sequence in its grammar. One that is not here is no
        error."""
        if (one := self.waiting.get(request_id)) is not None:
            one.constraints.matcher = matcher

    def remove(self, request_id: str) -> bool:
        """Take a sequence out, wherever it is; False if it is not here."""
        if (one := self.running.get(request_id)) is not None:
            if one.request.pin:
                self._pin(one)
            self._stop(request_id)
        elif (one := self.waiting.pop(request_id)) is None:
            return False
        self.swap.drop(request_id)
        self.counters.ended += 1
        self.counters.ended_tokens += one.generated
        return True

    def _pin(self, ending: Sequence) -> None:
        """Keep the pages of its prompt, as far as each of the others could still run alone."""
        self.holdings.pin(ending)
        others = (one for one in self.everyone() if one is not ending)
        longest = max((len(one.request.prompt) + one.max_tokens for one in others), default=0)
        self.pool.unpin_down_to(self.pool.total - pages_for(longest))

    def due_in(self, now: float) -> float | None:
        """Seconds until a deadline may have passed; None if there is none."""
        return None if self._earliest == math.inf else max(0.0, self._earliest - now)

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

    # Who runs

    def admit(self, request_id: str) -> Sequence:
        """Let one run that waits, from behind what is known of it, with pages for its tokens; that
        there are enough was decided before. Raises EngineLost."""
        one = self.waiting.serve(request_id)
        one.passed = 0
        self.running[request_id] = one
        self.tenants.count(one.request, 1)
        self.counters.pages_put_back += self.holdings.take_known(one)
        self.holdings.reserve(one, len(one.tokens))
        return one

    def pass_by(self, request_id: str) -> None:
        """Others are admitted before one that waits, since it does not fit."""
        if (one := self.waiting.get(request_id)) is not None:
            one.passed += 1

    def preempt(self, request_id: str, for_others: bool, aside: bool = False) -> None:
        """Let one wait again that runs, at the head of its tenant's line, and without its pages.
        `for_others`: it gives way to another tenant; `aside`: what was computed of it is kept.
        Raises EngineLost."""
        one = self.running[request_id]
        if aside:
            self.holdings.put_aside(one)
        one.gave_way = one.computed if for_others else 0
        one.preempted += 1
        self._stop(request_id)
        self.waiting.put_first(one, known=self.holdings.known(one))
        self.counters.preemptions += 1

    def _stop(self, request_id: str) -> None:
        """Take out one that runs."""
        one = self.running.pop(request_id)
        self.tenants.count(one.request, -1)
        self.holdings.give_back(one)
