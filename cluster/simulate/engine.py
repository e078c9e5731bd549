"""A simulated engine: what runs in each step, and how long it takes; no token is computed.

As the real one of a single tenant and class: continuous batching; decodes first, then prefills in
order of arrival, in chunks, while tokens, seats and pages suffice, past those that do not fit; a
prompt's pages are taken at once; equal beginnings that come together are computed once; who was
admitted last gives everything back when decodes run out of pages. A step costs the same whatever
its batch: those that decode are counted, and leave at a step that is known when they begin.
"""

import heapq
from collections import deque
from typing import NamedTuple

from raylax.cluster.simulate.pages import Pages
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import BLOCK
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import Load, Priority
from raylax.worker.scheduling.decision.bypass import Bypass
from raylax.worker.scheduling.decision.prefill_budget import prefill_budget
from raylax.worker.scheduling.decision.sharing import Filling, Sharing
from raylax.worker.scheduling.decision.targets import Targets, is_saturated
from raylax.worker.scheduling.pace.prefill_time import PrefillTime


class SimulatedState(NamedTuple):
    """How the engine was between two steps; a Load costs more to make than most are worth."""

    running: int
    waiting: int
    todo: int
    held: int
    cached: int
    steps: int
    decoding: int
    context: int


class SimulatedEngine:
    """`begin` and `end` a step, at the time that the simulation says."""

    def __init__(self, profile: Profile) -> None:
        self.profile, self._step_time = profile, profile.step_time
        self._prefill_time = PrefillTime(profile.b)
        self._targets = Targets(normal=profile.itl_s)
        self._saturated = False
        self.pages = Pages(profile.kv)
        self.waiting: deque[SimulatedSequence] = deque()
        self.running: dict[str, SimulatedSequence] = {}  # in order of admission
        self.filling: dict[str, SimulatedSequence] = {}  # of those: not yet decoding
        self.busy = self.draining = False
        self.steps = self.preemptions = self.cached_tokens = 0
        self.todo = self.decoding = self.context = 0
        self._decoded = 0
        self._ends: list[
            tuple[int, int, SimulatedSequence]
        ] = []  # decode step after which one is done
        self._last_end = 0
        self._chunks: list[tuple[SimulatedSequence, int]] = []

    def add(self, one: SimulatedSequence) -> None:
        """It waits from now on."""
        self._expect(one)
        self.waiting.append(one)

    def state(self) -> SimulatedState:
        """How it is now, between two steps."""
        return SimulatedState(
            len(self.running), len(self.waiting), self.todo, self.pages.held, self.pages.cached,
            self.steps, self.decoding, self.context,
        )  # fmt: skip

    def load(self, state: SimulatedState) -> Load:
        """A state as a worker would report it."""
        total = self.profile.kv // PAGE_SIZE
        used, cached = -(-state.held // PAGE_SIZE), state.cached // PAGE_SIZE
        return Load(
            running=state.running,
            waiting=state.waiting,
            queued_tokens=state.todo,
            pages_total=total,
            pages_free=total - used - cached,
            pages_cached=cached,
            step=state.steps,
            decoding=state.decoding,
            context_tokens=state.context,
            step_tokens=self.profile.budget,
            prefill_room=self._room(state.decoding, state.context, self._targets),
            pace=self._step_time,
            draining=self.draining,
        )

    def begin(self) -> float:
        """Decide on a step; the seconds that it takes."""
        self.pages.held += self.decoding
        self.pages.evict()
        while self.pages.short > 0:
            self._preempt()
        self._saturated = is_saturated(len(self.filling) + len(self.waiting), self._saturated)
        targets = self._targets.without_auto if self._saturated else self._targets
        room = self._room(self.decoding, self.context, targets)
        prefill = self._fill(room) if self.filling or self.waiting else 0
        self.busy = True
        return self._step_time.seconds(prefill, self.decoding, self.context)

    def end(self, now: float) -> list[SimulatedSequence]:
        """A step is over; the sequences that are done by it."""
        self.busy = False
        self.steps += 1
        done: list[SimulatedSequence] = []
        if self.decoding:
            self._decoded += 1
            self.context += self.decoding
            while self._ends and self._ends[0][0] <= self._decoded:
                _, end, one = heapq.heappop(self._ends)
                if one.end == end:  # else it was preempted since
                    one.last = now
                    done.append(one)
        for one, count in self._chunks:
            self._advance(one, count, now, done)
        self._chunks.clear()
        for one in done:
            self._leave(one)
            del self.running[one.id]
        return done

    def _room(self, decoding: int, context: int, targets: Targets) -> int:
        """Tokens of prefill that a step may have beside those who decode."""
        most, classes = self.profile.budget - decoding, {Priority.NORMAL} if decoding else ()
        quiet_s = self._step_time.seconds(0, decoding, context)
        target_s = targets.for_step(quiet_s, classes)
        return prefill_budget(quiet_s, self._prefill_time, decoding, 0, target_s, most).tokens

    def _fill(self, room: int) -> int:
        """Chunks of prefill for this step; their tokens."""
        prefill = 0
        for one in self.filling.values():
            count = min(one.pending, room - prefill)
            if count == 0:
                return prefill
            self._chunks.append((one, count))
            prefill += count
        return prefill + self._fill_with_new(room - prefill) if self.waiting else prefill

    def _fill_with_new(self, room: int) -> int:
        """Admit who waits: not who waits for the blocks that another is about to fill, and past
        those that do not fit, as the engine's own functions have it. The tokens of their chunks."""
        filling = [Filling(one.names) for one in self.filling.values()]
        sharing, bypass = Sharing(filling, self.profile.sequences), Bypass()
        prefill, admitted, large = 0, list[SimulatedSequence](), list[SimulatedSequence]()
        passed = 0
        for one in self.waiting:
            if prefill >= room or len(self.running) >= self.profile.sequences or sharing.is_over:
                break
            found = max(self.pages.find(one.names), one.fetched // BLOCK)
            if sharing.holds_back(one.names, found):
                continue
            if not self._admit(one):
                if not bypass.lets_pass(one.candidate):
                    break
                large.append(one)
                continue
            admitted.append(one)
            passed, count = len(large), min(one.pending, room - prefill)
            self._chunks.append((one, count))
            prefill += count
        for one in admitted:
            self.waiting.remove(one)
        for one in large[:passed]:
            one.passed += 1
        return prefill

    def _expect(self, one: SimulatedSequence) -> None:
        """Count what it has to compute, as it looks now; `_admit` finds how much it is."""
        found = self.pages.find(one.names)
        one.expected = one.tokens - max(found * BLOCK, one.fetched)
        self.todo += one.expected

    def _admit(self, one: SimulatedSequence) -> bool:
        names = one.names
        found = names[: self.pages.find(names)]
        need = one.tokens - len(found) * BLOCK
        if not self.pages.room_for(found, need):
            return False
        self.pages.acquire(found)
        self.pages.held += need
        self.pages.evict()
        one.computed = max(len(found) * BLOCK, one.fetched)
        self.todo += one.pending - one.expected
        one.expected, one.own, one.fetched = one.pending, need, 0
        one.passed, one.begun = 0, True
        one.blocks = list(found)
        one.cached = one.cached or len(found) * BLOCK
        self.cached_tokens += len(found) * BLOCK
        self.running[one.id] = self.filling[one.id] = one
        return True

    def _advance(
        self, one: SimulatedSequence, count: int, now: float, done: list[SimulatedSequence]
    ) -> None:
        one.computed += count
        self.todo -= count
        names = one.arrival.names
        for name in names[len(one.blocks) : one.computed // BLOCK]:
            if not self.pages.index(name):
                break  # the rest of its blocks stay its own, too
            one.blocks.append(name)
            one.own -= BLOCK
        if one.pending:
            return
        del self.filling[one.id]
        one.first = one.first or now
        one.left -= 1
        if one.left == 0:
            one.last = now
            done.append(one)
            return
        one.joined = self._decoded
        self.decoding += 1
        self.context += one.tokens
        self._last_end += 1
        one.end = self._last_end
        heapq.heappush(self._ends, (self._decoded + one.left, one.end, one))

    def _leave(self, one: SimulatedSequence) -> None:
        """Its pages are given back, and it is counted no more."""
        grown = 0
        if one.joined is not None:
            grown = self._decoded - one.joined
            self.decoding -= 1
            self.context -= one.tokens + grown
            one.joined, one.end = None, 0
        self.pages.held -= one.own + grown
        self.pages.release(one.blocks)
        one.own, one.blocks = 0, []

    def _preempt(self) -> None:
        """Who was admitted last starts again, with what it has made as part of its prompt."""
        id, one = self.running.popitem()
        self.preemptions += 1
        if one.joined is None:
            del self.filling[id]
            self.todo -= one.pending
            self._leave(one)
        else:
            made = self._decoded - one.joined
            self.pages.held -= 1  # the token that this step was to write
            self._leave(one)
            one.tokens, one.left = one.tokens + made + 1, one.left - made
        one.computed = 0
        self.pages.evict()
        self._expect(one)
        self.waiting.appendleft(one)

    def evacuate(self) -> list[SimulatedSequence]:
        """Everyone who is here, between two steps, to go on elsewhere: who runs brings along what
        is computed. First who was admitted first, then who waits."""
        gone = [*self.running.values(), *self.waiting]
        for one in self.running.values():
            made = None if one.joined is None else self._decoded - one.joined
            self._leave(one)
            if made is not None:
                one.tokens, one.left = one.tokens + made + 1, one.left - made
                one.computed = one.tokens - 1
            one.fetched = one.computed
        for one in gone:
            one.computed = one.expected = one.passed = 0
            one.begun = False
        self.todo = 0
        self.running.clear()
        self.filling.clear()
        self.waiting.clear()
        self._ends.clear()
        return gone

    def check(self) -> None:
        """To be called at the end: all that came has gone, and gave everything back."""
        left = (
            len(self.waiting), len(self.running), len(self.filling), self.todo, self.decoding,
            self.context, self.pages.held,
        )  # fmt: skip
        assert not any(left), f"left over in a simulated engine: {left}"
