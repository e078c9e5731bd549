"""Who is let through to the workers, and when.

While some worker would begin a new request soon, calls pass at once. When all queues are long they
wait here, where order still can be chosen: higher classes first, then the tenant that had least of
its share so far (`raylax.proto.fair_share`). Whatever its class, a call does not wait while less of
its tenant's is on its way than the tenant's part of what may wait at workers: it goes first there.
A call that could not start in time is refused at once, with the seconds after which it might.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from raylax.proto.errors import Overloaded
from raylax.proto.fair_share import GENERATED, FairShareCounters
from raylax.proto.vocabulary import Priority
from raylax.router.calls.journal import Journal, Unbegun
from raylax.router.calls.waiting_calls import WaitingCall, WaitingCalls
from raylax.router.fleet.estimate import Estimate, estimate
from raylax.router.fleet.table import Fleet

HOLD_S = 1.0
"""How much work may wait at the least busy worker; further calls wait here. It is enough that no
worker runs dry meanwhile."""
PUMP_EVERY_S = 0.05


SPREAD = 0.25
"""Those who are refused together are to come back apart."""


def nobody_is_ordered(_now: float) -> float | None:
    """Where there is no autoscaler."""
    return None


@dataclass
class Admission:
    """Lets the calls of one model through. Used on one event loop."""

    fleet: Fleet
    journal: Journal
    """Requests that were let through and have not ended."""
    clock: Callable[[], float]
    max_wait_s: float
    hold_s: float = HOLD_S
    target_s: float | None = None
    """Whose first token is expected later is refused at once; None: only for `max_wait_s`."""
    next_ready_s: Callable[[float], float | None] = nobody_is_ordered
    """Seconds until the next worker is expected, of a time."""
    rng: random.Random = field(default_factory=random.Random)
    """Spreads those who come back."""
    _counters: FairShareCounters = field(default_factory=FairShareCounters)
    """Kept while calls wait; nobody needs them otherwise."""
    _waiting: WaitingCalls = field(default_factory=WaitingCalls)
    _timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> Iterable[WaitingCall]:
        """The calls that wait here."""
        return self._waiting

    def held(self) -> tuple[int, int]:
        """Calls that wait here, and the tokens of their prompts."""
        return len(self._waiting), self._waiting.tokens

    async def enter(
        self, tenant: str, priority: Priority, tokens: int, limit_s: float, share: float = 1.0
    ) -> None:
        """Returns when the call may go on. `tokens` are those of its prompts, `limit_s` is how long
        its first token may take. Raises Overloaded for a call that would take longer."""
        now, limit_s = self._estimate(), min(limit_s, self.max_wait_s)
        if now is None:  # who looks for a worker waits, too, but not for one that comes too late
            return self._check(self.next_ready_s(self.clock()) or 0.0, limit_s)
        if self.target_s is not None:
            limit_s = min(limit_s, self.target_s)
        if len(self) == 0 and self._has_room(now):
            return self._check(unhurried_s(now, tokens), limit_s)
        admitted = asyncio.get_running_loop().create_future()
        call, unbegun = (
            WaitingCall(tenant, priority, share, tokens, admitted),
            self.journal.unbegun(),
        )
        self._check(self._wait_s(now, call, unbegun), limit_s)
        self._lift(tenant)
        self._waiting.put(call)
        if self._waiting.first_of(tenant) is call and self._is_below(now, tenant, unbegun):
            self._let_in(call)
        self._pump_soon()
        try:
            await admitted
        finally:
            self._waiting.discard(call)  # its client may have left

    def generated(self, tenant: str, tokens: int, share: float = 1.0) -> None:
        """Count tokens of answers."""
        self._charge(tenant, GENERATED * tokens, share)

    def pump(self) -> None:
        """Let in whom the workers can take, and one of each tenant that has less than its part on
        its way."""
        self._timer = None
        now = self._estimate()
        if now is None:
            self._let_in(self._next())
        else:
            self._fill(now)
            unbegun = self.journal.unbegun()
            for tenant in self._waiting.tenants():
                if self._is_below(now, tenant, unbegun):
                    self._let_in(self._waiting.first_of(tenant))
        if len(self):
            self._pump_soon()
        else:
            self._counters.clear()

    # What is expected

    def _estimate(self) -> Estimate | None:
        rows = self.fleet.rows()
        if len(rows) == 0:
            return None
        self.fleet.now = self.clock()
        return estimate(self.fleet, rows)

    def _has_room(self, now: Estimate, tokens: float = 0.0) -> bool:
        """Whether some worker would begin a call soon, so many tokens being on their way there."""
        todo_s = float((now.todo * now.per_token).min())
        return todo_s + tokens / rate_of(now) < self.hold_s

    def _is_below(self, now: Estimate, tenant: str, unbegun: Unbegun) -> bool:
        """Whether a tenant that waits has less on its way than its part, in one of several
        routers."""
        shares = unbegun.shares | self._waiting.tenants()
        hold_s = self.hold_s * shares[tenant] / sum(shares.values()) / self.fleet.routers
        return unbegun.tokens[tenant] / rate_of(now) < hold_s

    def _wait_s(self, now: Estimate, call: WaitingCall, unbegun: Unbegun) -> float:
        """Seconds to the first token of a call: it is behind no more of others than what they get
        while its tenant gets its own."""
        waiting, rate = self._waiting.tokens_before(call.priority), rate_of(now)
        behind_all = unhurried_s(now, call.tokens) + waiting.total() / rate
        there = unbegun.tokens + waiting
        shares = unbegun.shares | self._waiting.tenants() | {call.tenant: call.share}
        beside = (there[call.tenant] + call.tokens) * (sum(shares.values()) / call.share - 1)
        passed = max(0.0, there.total() - there[call.tenant] - beside)
        soonest = float((now.wait + now.over).min())
        return max(min(soonest, behind_all), behind_all - passed / rate)

    def _check(self, wait_s: float, limit_s: float) -> None:
        """Raises Overloaded if a first token would come too late. Where there is a target, who is
        refused comes back when the queue is gone or the next worker is there, whichever is sooner;
        else when the wait has become bearable."""
        if wait_s <= limit_s:
            return
        after_s = wait_s - limit_s
        if self.target_s is not None:
            ready_s = self.next_ready_s(self.clock())
            after_s = wait_s if ready_s is None else min(wait_s, ready_s)
            after_s *= self.rng.uniform(1 - SPREAD, 1 + SPREAD)
        refuse(wait_s, limit_s, max(1.0, math.ceil(after_s)))

    # Who is let in

    def _fill(self, now: Estimate) -> None:
        """Let in as many calls as the workers have room for, by their prompts."""
        tokens = 0.0
        while self._has_room(now, tokens) and (call := self._next()) is not None:
            self._let_in(call)
            tokens += call.tokens

    def _next(self) -> WaitingCall | None:
        """Whose turn it is; None if nobody waits."""
        return min(
            self._waiting.highest_class(),
            key=lambda call: self._counters[call.tenant],
            default=None,
        )

    def _let_in(self, call: WaitingCall | None) -> None:
        if call is not None:
            self._waiting.discard(call)
            self._charge(call.tenant, call.tokens, call.share)
            if not call.admitted.done():
                call.admitted.set_result(None)

    def _charge(self, tenant: str, tokens: float, share: float) -> None:
        if len(self):
            self._counters.charge(tenant, tokens / share)

    def _lift(self, tenant: str) -> None:
        """A tenant that comes back starts with the least of those who wait: absence saves nothing
        up."""
        there = self._waiting.tenants()
        if tenant not in there:
            least = min((self._counters[name] for name in there), default=0.0)
            self._counters.lift(tenant, least)

    def _pump_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PUMP_EVERY_S, self.pump)


def rate_of(now: Estimate) -> float:
    """Prompt tokens that all workers compute in a second."""
    return float((1 / now.per_token).sum())


def unhurried_s(now: Estimate, tokens: int) -> float:
    """Seconds to the first token of a call, behind all that the least busy worker has."""
    return float(now.ttft(np.array(float(tokens))).min())


def refuse(wait_s: float, limit_s: float, retry_after_s: float) -> NoReturn:
    """Raises Overloaded."""
    raise Overloaded(
        f"the first token could come after {wait_s:.1f} s, the limit is {limit_s:g} s; "
        f"try again in {retry_after_s:.0f} s",
        retry_after_s=retry_after_s,
    )
