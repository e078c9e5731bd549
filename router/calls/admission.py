"""Who is let through to the workers, and when.

While some worker would begin a new request soon, calls pass at once. When all queues are long they
wait here, where order still can be chosen: higher classes first, then the tenant that had least of
its share so far (`raylax.proto.fair_share`).
A call that could not start in time is refused at once, with the seconds after which it might.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from raylax.proto.errors import Overloaded
from raylax.proto.fair_share import GENERATED, FairShareCounters
from raylax.proto.vocabulary import Priority
from raylax.router.fleet.estimate import Estimate, estimate
from raylax.router.fleet.table import Fleet

HOLD_S = 1.0
"""How much work may wait at the least busy worker; further calls wait here. It is enough that no
worker runs dry meanwhile."""
PUMP_EVERY_S = 0.05


@dataclass(eq=False)
class WaitingCall:
    """A call that waits for its turn."""

    tenant: str
    share: float
    tokens: int
    admitted: "asyncio.Future[None]"


@dataclass
class Admission:
    """Lets the calls of one model through. Used on one event loop."""

    fleet: Fleet
    clock: Callable[[], float]
    max_wait_s: float
    hold_s: float = HOLD_S
    _counters: FairShareCounters = field(default_factory=FairShareCounters)
    """Kept while calls wait; nobody needs them otherwise."""
    _queues: dict[Priority, deque[WaitingCall]] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    async def enter(
        self, tenant: str, priority: Priority, tokens: int, limit_s: float, share: float = 1.0
    ) -> None:
        """Returns when the call may go on. `tokens` are those of its prompts, `limit_s` is how long
        its first token may take. Raises Overloaded for a call that would take longer."""
        now = self._estimate()
        if now is None:
            return  # no worker: who looks for one waits, too
        self._check_wait(now, priority, tokens, min(limit_s, self.max_wait_s))
        if len(self) == 0 and self._has_room(now):
            return self._charge(tenant, tokens, share)
        waiting = WaitingCall(tenant, share, tokens, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(priority, deque())
        self._lift(tenant)
        queue.append(waiting)
        self._pump_soon()
        try:
            await waiting.admitted
        finally:
            if waiting in queue:  # its client has left
                queue.remove(waiting)

    def generated(self, tenant: str, tokens: int, share: float = 1.0) -> None:
        """Count tokens of answers."""
        self._charge(tenant, GENERATED * tokens, share)

    def pump(self) -> None:
        """Let in whom the workers can take, one at a time: each changes what they have to do."""
        self._timer = None
        now = self._estimate()
        if now is None or self._has_room(now):
            self._let_one_in()
        if len(self):
            self._pump_soon()
        else:
            self._counters.clear()

    def _estimate(self) -> Estimate | None:
        rows = self.fleet.rows()
        if len(rows) == 0:
            return None
        self.fleet.now = self.clock()
        return estimate(self.fleet, rows)

    def _has_room(self, now: Estimate) -> bool:
        return bool((now.todo * now.per_token).min() < self.hold_s)

    def _check_wait(self, now: Estimate, priority: Priority, tokens: int, limit_s: float) -> None:
        ahead = sum(
            waiting.tokens
            for of, queue in self._queues.items()
            for waiting in queue
            if of <= priority
        )
        wait = float(now.ttft(np.array(float(tokens))).min())
        if ahead:
            wait += ahead / float((1 / now.per_token).sum())
        if wait > limit_s:
            retry_after_s = max(1.0, math.ceil(wait - limit_s))
            raise Overloaded(
                f"the first token could come after {wait:.1f} s, the limit is {limit_s:g} s; "
                f"try again in {retry_after_s:.0f} s",
                retry_after_s=retry_after_s,
            )

    def _let_one_in(self) -> None:
        for priority in sorted(self._queues):
            if queue := self._queues[priority]:
                first: dict[str, WaitingCall] = {}
                for waiting in queue:
                    first.setdefault(waiting.tenant, waiting)
                tenant = min(first, key=self._counters.__getitem__)
                waiting = first[tenant]
                queue.remove(waiting)
                self._charge(tenant, waiting.tokens, waiting.share)
                if not waiting.admitted.done():
                    waiting.admitted.set_result(None)
                return

    def _charge(self, tenant: str, tokens: float, share: float) -> None:
        if len(self):
            self._counters.charge(tenant, tokens / share)

    def _lift(self, tenant: str) -> None:
        """A tenant that comes back starts with the least of those who wait: absence saves nothing
        up."""
        there = {waiting.tenant for queue in self._queues.values() for waiting in queue}
        if tenant not in there:
            least = min((self._counters[name] for name in there), default=0.0)
            self._counters.lift(tenant, least)

    def _pump_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PUMP_EVERY_S, self.pump)
