"""A fleet whose workers are ordered, start, leave and hand over what they run.

Engines, router, books and policy are those of the replay. In front the router holds requests back
while each worker has HOLD_S of work, and refuses those that would wait too long, as
`raylax.router.calls.admission` does for a single tenant.
"""

import heapq
import pickle
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.router import ReportBox, RequestEnd, SimulatedRouter
from raylax.cluster.simulate.scaling.rows import Event, FleetSettings, Row, State, Sums
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import Arrival
from raylax.router.calls.admission import HOLD_S, rate_of, unhurried_s
from raylax.router.fleet.estimate import Estimate
from raylax.router.policies import DEFAULT, policy_named

HANDOVER_S = 1.0
"""Until what a leaving worker ran goes on elsewhere, with its pages."""
SOON_S = 0.02
"""Until what only waited there is sent elsewhere."""
RETRY_S = 0.1
"""Between two looks for a worker, while there is none."""


@dataclass
class ScalingFleet:
    """`advance` to a time, then look, then `order` so many workers."""

    settings: FleetSettings
    requests: Sequence[Arrival]
    now: float = 0.0
    target: int = 0
    cost_s: float = 0.0
    """Seconds of workers, each from its order to its end."""
    starts: int = 0
    sums: Sums = field(default_factory=Sums)
    queue: deque[SimulatedSequence] = field(default_factory=deque)
    queued_tokens: int = 0
    finished: list[SimulatedSequence] = field(default_factory=list)
    """In the order of their ends; who has looked at them may take them away."""
    refused: list[Arrival] = field(default_factory=list)
    ended: int = 0
    """Requests that were finished or refused."""
    moving: int = 0
    _next: int = 0
    _there: int = 0
    """Workers that are paid for."""

    def __post_init__(self) -> None:
        most = self.settings.most
        self.rows = [Row() for _ in range(most)]
        self.boxes = [self._box(number) for number in range(most)]
        self._router = SimulatedRouter(
            0, 1, self.boxes, policy_named(DEFAULT), self.settings.delay_s, random.Random(0)
        )
        self._events: list[tuple[float, int, Event, int, int, SimulatedSequence | None]] = []
        self._numbers = count()
        self._start(self.settings.first, 0.0)
        self.advance(0.0)
        self.target = self.settings.first

    def _box(self, number: int) -> ReportBox:
        return ReportBox(f"worker-{number}", SimulatedEngine(self.settings.profile), 1)

    @property
    def ready(self) -> list[SimulatedEngine]:
        """The engines that take requests."""
        pairs = zip(self.rows, self.boxes, strict=True)
        return [box.engine for row, box in pairs if row.state is State.READY]

    @property
    def left(self) -> int:
        """Requests that have not ended."""
        return len(self.requests) - self.ended

    def unbegun(self) -> Iterator[SimulatedSequence]:
        """Those at the router and at workers who have no token yet."""
        yield from self.queue
        for box in self.boxes:
            here = (*box.engine.waiting, *box.engine.filling.values())
            yield from (one for one in here if not one.first)

    def copy(self) -> "ScalingFleet":
        """One that is as this one is now, and goes on by itself. Of the same requests."""
        requests, self.requests = self.requests, ()
        twin: ScalingFleet = pickle.loads(pickle.dumps(self))
        self.requests = twin.requests = requests
        return twin

    # What happens

    def advance(self, until: float) -> None:
        """Let everything happen before this time."""
        events, requests = self._events, self.requests
        while True:
            at = requests[self._next].at if self._next < len(requests) else float("inf")
            if events and events[0][0] <= min(at, until):
                self._happen(*heapq.heappop(events))
            elif at < until:
                self._clock(at)
                self._arrive(self._next, requests[self._next])
                self._next += 1
            else:
                break
        self._clock(until)
        self._pump()
        self._router.forget_read()

    def _clock(self, now: float) -> None:
        self.cost_s += self._there * (now - self.now)
        self.now = now

    def _happen(
        self, at: float, _: int, event: Event, number: int, life: int,
        one: SimulatedSequence | None,
    ) -> None:  # fmt: skip
        self._clock(at)
        if event is Event.MOVED:
            assert one is not None
            self._arrive_again(one)
        elif self.rows[number].life == life:
            if event is Event.READY:
                self.rows[number].state = State.READY
                self.boxes[number].say(self.now - self.settings.delay_s)
            else:
                self._step(number)
            self._pump()

    def _later(
        self, after_s: float, event: Event, number: int, one: SimulatedSequence | None = None
    ) -> None:
        life = self.rows[number].life
        entry = (self.now + after_s, next(self._numbers), event, number, life, one)
        heapq.heappush(self._events, entry)

    def _step(self, number: int) -> None:
        """A worker's step ends, and the next begins."""
        box = self.boxes[number]
        before = box.engine.cached_tokens
        for one in box.engine.end(self.now):
            self.finished.append(one)
            self.ended += 1
            self.sums.done += 1
            self.sums.done_out += one.arrival.answer
            heard = RequestEnd(self.now + self.settings.delay_s, number, one.id)
            self._router.ends.append(heard)
        if self.rows[number].state is State.DRAINING:
            self._hand_over(number)
            return
        box.say(self.now)
        if box.engine.running or box.engine.waiting:
            self._begin(number)
        self.sums.cached += box.engine.cached_tokens - before

    def _begin(self, number: int) -> None:
        self._later(self.boxes[number].engine.begin(), Event.STEP, number)

    # Requests

    def _arrive(self, number: int, arrival: Arrival) -> None:
        one = SimulatedSequence.of(f"request-{number}", arrival, 0)
        self.sums.arrived += 1
        self.sums.prompt += arrival.prompt
        now = self._router.estimate(self.now)
        if now is not None:
            wait_s = unhurried_s(now, arrival.prompt)
            if self.queue:
                wait_s += self.queued_tokens / rate_of(now)
            if wait_s > self.settings.max_wait_s:
                self.refused.append(arrival)
                self.ended += 1
                return
            if not self.queue and has_room(now):
                self._send(one)
                return
        self.queue.append(one)
        self.queued_tokens += arrival.prompt

    def _arrive_again(self, one: SimulatedSequence) -> None:
        """One that a leaving worker has handed over goes in front of nobody, and is not held."""
        if self._router.estimate(self.now) is None:
            self._later(RETRY_S, Event.MOVED, 0, one)
            return
        self.moving -= 1
        self._send(one)

    def _send(self, one: SimulatedSequence) -> None:
        number = self._router.route(one, self.now)
        engine = self.boxes[number].engine
        before = engine.cached_tokens
        engine.add(one)
        if not engine.busy:
            self._begin(number)
        self.sums.cached += engine.cached_tokens - before

    def _pump(self) -> None:
        """Send what was held back, as far as there is room."""
        while self.queue:
            now = self._router.estimate(self.now)
            if now is None or not has_room(now):
                return
            one = self.queue.popleft()
            self.queued_tokens -= one.arrival.prompt
            self._send(one)

    # Workers

    def order(self, wanted: int) -> None:
        """So many workers are wanted from now on."""
        wanted = max(0, min(self.settings.most, wanted))
        if wanted > self.target:
            self._start(wanted - self.target, self.settings.start_s)
            self.target = wanted
        while wanted < self.target and self._stop_one():
            self.target -= 1

    def _start(self, many: int, start_s: float) -> None:
        free = [number for number, row in enumerate(self.rows) if row.state is State.OFF]
        for number in free[:many]:
            row = self.rows[number]
            row.state, row.ready_at = State.STARTING, self.now + start_s
            self._there += 1
            row.life += 1
            self.boxes[number] = self._box(number)
            self._router.reopen(number)
            self._later(start_s, Event.READY, number)
            self.starts += start_s > 0

    def _stop_one(self) -> bool:
        """Who still starts goes first, the newest; then who has least to hand over. The last one
        stays while it has anything."""
        starting = [n for n, row in enumerate(self.rows) if row.state is State.STARTING]
        if starting:
            newest = max(starting, key=lambda n: self.rows[n].ready_at)
            self._off(newest)
            return True
        ready = [n for n, row in enumerate(self.rows) if row.state is State.READY]
        if not ready:
            return False
        number = min(ready, key=self._weight)
        engine = self.boxes[number].engine
        if len(ready) == 1 and (engine.running or engine.waiting):
            return False
        self.rows[number].state = State.DRAINING
        engine.draining = True
        self._router.drain(number)
        if not engine.busy:
            self._hand_over(number)
        return True

    def _weight(self, number: int) -> float:
        engine = self.boxes[number].engine
        return engine.pages.held + engine.todo + 1e-6 * engine.pages.cached

    def _hand_over(self, number: int) -> None:
        engine = self.boxes[number].engine
        for one in engine.evacuate():
            self.moving += 1
            self._later(HANDOVER_S if one.fetched else SOON_S, Event.MOVED, 0, one)
        engine.check()
        self.cost_s += HANDOVER_S  # it is there until its pages are fetched
        self._off(number)

    def _off(self, number: int) -> None:
        self.rows[number].state = State.OFF
        self._there -= 1
        self.rows[number].life += 1
        self.boxes[number] = self._box(number)
        self._router.reopen(number)


def has_room(now: Estimate) -> bool:
    """Whether some worker would begin a request soon."""
    return bool((now.todo * now.per_token).min() < HOLD_S)
