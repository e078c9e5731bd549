"""Law 3. free + cached + used = total after every step, whatever is submitted, aborted or fails."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raylax.kernels.model import StepOutput
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import Delta, Priority, Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.kv.sight import ALL, Sight
from raylax.worker.kv.swap import Swap
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.drafting.chain import SPARE
from raylax.worker.scheduling.drafting.heads import HeadModel
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.outcomes import StepFailed
from raylax.worker.scheduling.pace.prefill_time import PrefillTime
from raylax.worker.scheduling.pace.step_time import Times
from raylax.worker.scheduling.readiness import READY, Need
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.speculation.proposals import Speculation
from tests.support.drafting import AlwaysRight, RightBeside, SummingHead, SummingModel
from tests.support.lazy_device import LazyDevice
from tests.support.outputs import saying

PAGES, VOCAB = 12, 7
SHARES = {"a": 1.0, "b": 3.0, "c": 0.01}
POISON = VOCAB
"""A token that no step survives; only prompts have it."""


class Reader:
    """A model that keeps token ids in its pages and reads each sequence back through its table.

    A token written to the wrong slot, a page given to two or a stale one shows at once.
    """

    def __init__(self, sight: Sight = ALL) -> None:
        self.sight = sight
        self.slots = np.full(PAGES * PAGE_SIZE, -1)
        self.histories: dict[bytes, int] = {}
        self.fail = False

    def run(self, plan: StepPlan) -> StepOutput:
        if self.fail:
            raise RuntimeError("broken on purpose")
        tokens, slots = plan.batch.tokens, plan.batch.slots
        self.slots[slots] = -2  # a step that fails leaves anything
        if POISON in tokens:
            raise ValueError("a token that nobody knows")
        assert len(set(slots.tolist())) == len(slots), "two tokens in one slot"
        self.slots[slots] = tokens
        chosen = [sum(self.read(plan, int(row))) % VOCAB for row in plan.batch.rows]
        return saying(chosen, VOCAB)

    def read(self, plan: StepPlan, row: int) -> list[int]:
        """The tokens of a sequence up to a token of the step, as far as that one sees."""
        starts = plan.batch.query_starts
        one = int(np.searchsorted(starts, row, "right")) - 1
        length = plan.batch.kv_lengths[one] - (starts[one + 1] - 1 - row)
        at = np.array(seen(length, self.sight))
        pages = plan.batch.page_table[one, at // PAGE_SIZE]
        tokens: list[int] = self.slots[pages * PAGE_SIZE + at % PAGE_SIZE].tolist()
        return tokens

    def copy_out(self, pages: Iterable[int]) -> list[bytes]:
        return [self.slots[page * PAGE_SIZE :][:PAGE_SIZE].tobytes() for page in pages]

    def copy_in(self, pages: Iterable[int], contents: Iterable[bytes]) -> None:
        for page, content in zip(pages, contents, strict=True):
            self.slots[page * PAGE_SIZE :][:PAGE_SIZE] = np.frombuffer(content, self.slots.dtype)


def seen(length: int, sight: Sight) -> list[int]:
    """Which of so many tokens the last one sees."""
    recent = sight.recent or length
    return [at for at in range(length) if at < sight.sinks or at >= length - recent]


def continuation(prompt: tuple[int, ...], count: int, sight: Sight = ALL) -> list[int]:
    """What the reader says after a prompt, by definition."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(sum(tokens[at] for at in seen(len(tokens), sight)) % VOCAB)
    return tokens[len(prompt) :]


class Engine(RuleBasedStateMachine):
    """Random requests over a few prompts that share beginnings, in an engine short of pages. They
    are of several tenants and classes, some become ready late or never, and some break every step
    that they are part of."""

    KEPT: ClassVar[int | None] = None
    """Sequences whose pages are kept after their end."""
    SIGHT: ClassVar[Sight] = ALL
    """Of the model."""
    ROOM: ClassVar[int] = 0
    """In host memory for pages of those who give way."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Reader(self.SIGHT)
        self.pool = PagePool(PAGES, keep=self.KEPT)
        self.now = 0.0
        self.known: set[int] = set()
        self.begun: list[str] = []
        limits = StepLimits(tokens=24, sequences=4)
        swap = Swap(self.copy_out, self.copy_in, self.ROOM, page_s=1e-6)
        self.roster = Roster(self.pool, lambda: self.now, sight=self.SIGHT, swap=swap)
        self.batch = Batch(self.roster, limits, self.model.run, began=self.begun.extend)
        self.batch.decider.step_time.times = Times(prefill=PrefillTime(token=1.0))
        self.asked: dict[str, Request] = {}
        self.said: dict[str, list[int]] = {}
        self.ended: set[str] = set()
        self.late: set[str] = set()
        """Those who are not ready yet."""

    @rule(
        length=st.integers(1, 100),
        kind=st.integers(0, 2),
        count=st.integers(1, 60),
        tenant=st.sampled_from(sorted(SHARES)),
        priority=st.sampled_from(Priority),
        poisoned=st.sampled_from([False, False, False, True]),
        late=st.sampled_from([False, False, True]),
        stops=st.sampled_from([(), (), (2, 5)]),
        pin=st.sampled_from([False, False, True]),
        score=st.sampled_from([False, False, True]),
    )
    def submit(
        self,
        length: int,
        kind: int,
        count: int,
        tenant: str,
        priority: Priority,
        poisoned: bool,
        late: bool,
        stops: tuple[int, ...],
        pin: bool,
        score: bool,
    ) -> None:
        tokens = [(i * (1 + kind * (i > 40)) + 3) % VOCAB for i in range(length)]
        prompt = (*tokens, POISON) if poisoned else tuple(tokens)
        id = f"r{len(self.asked)}"
        greedy = Sampling(temperature=0.0)
        request = Request(
            id,
            prompt,
            count,
            greedy,
            stop_token_ids=frozenset(stops),
            tenant=tenant,
            share=SHARES[tenant],
            priority=priority,
            pin=pin,
            score=score,
        )
        self.asked[id], self.said[id] = request, []
        self.roster.add(Sequence(request, needs=frozenset({Need.PAGES}) if late else READY))
        self.late.update([id] if late else [])

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def become_ready(self, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.late)))
        self.roster.meet_need(id, Need.PAGES)
        self.late.remove(id)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def abort(self, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.asked)))
        assert self.roster.remove(id) == (id not in self.ended)
        self.ended.add(id)
        self.late.discard(id)

    @rule(times=st.integers(1, 30))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.one_step()

    @rule(times=st.integers(1, 3))
    def failing_steps(self, times: int) -> None:
        """Whoever is alone in one ends, be it innocent."""
        self.model.fail = True
        for _ in range(times):
            self.one_step()
        self.model.fail = False

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def drop_cached(self) -> None:
        self.pool.drop_cached()

    def one_step(self) -> None:
        stepped = {one.request.id for one in self.roster.running.values()}
        try:
            self.take(self.batch.step())
        except StepFailed as failure:
            assert not self.ended & set(failure.request_ids)
            assert len(failure.request_ids) <= 1
            self.ended.update(failure.request_ids)
            if not self.model.fail:
                assert all(POISON in self.asked[id].prompt for id in failure.request_ids)
        assert stepped <= set(self.begun)
        self.pages_are_conserved()
        changes = self.pool.changes()
        self.known = self.known.union(changes.added).difference(changes.removed)
        assert self.known == set(self.pool.router_keys())

    def take(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            assert delta.request_id not in self.ended, "a word after the end"
            self.said[delta.request_id] += delta.token_ids
            if delta.finish is not None:
                self.ended.add(delta.request_id)

    def copy_out(self, pages: Iterable[int]) -> list[bytes]:
        return self.settled().copy_out(pages)

    def copy_in(self, pages: Iterable[int], contents: Iterable[bytes]) -> None:
        self.settled().copy_in(pages, contents)

    def settled(self) -> Reader:
        """The model, when it has done all that it was given."""
        return self.model

    @invariant()
    def what_is_put_aside_is_of_those_who_wait(self) -> None:
        swap, waiting = self.roster.swap, {one.request.id for one in self.roster.waiting}
        assert swap._aside.keys() <= waiting
        assert swap.used == sum(len(one.contents) for one in swap._aside.values()) <= self.ROOM

    @invariant()
    def pages_are_conserved(self) -> None:
        assert self.pool.free + self.pool.cached + self.pool.used == PAGES
        held = {page for one in self.roster.running.values() for page in one.pages}
        assert self.pool.used == len(held | self.pool._pinned.keys())
        for one in self.roster.running.values():
            assert len(one.behind) == len(self.SIGHT.behind(one.computed))
            assert len(set(one.pages)) == len(one.pages) - len(one.behind)
        assert self.pool.pinned <= PAGES // 4
        assert sum(map(self.pool.held, SHARES)) == self.pool.used + self.pool.cached

    @invariant()
    def what_waits_is_counted(self) -> None:
        """At least a token of each, at most all; of nobody, none."""
        waiting = tuple(self.roster.waiting)
        most = sum(len(one.tokens) for one in waiting)
        assert len(waiting) <= self.roster.waiting.tokens <= most

    @invariant()
    def who_is_not_ready_waits(self) -> None:
        """And is the only one who can keep an engine that has requests from running."""
        waiting = {one.request.id: one.ready for one in self.roster.waiting}
        assert {id for id, ready in waiting.items() if not ready} == self.late
        assert self.roster.waiting.ready == sum(waiting.values())
        assert self.roster.runnable == (self.asked.keys() > self.ended | self.late)

    @invariant()
    def every_word_is_right(self) -> None:
        for id, request in self.asked.items():
            assert self.said[id] == continuation(request.prompt, len(self.said[id]), self.SIGHT)

    def teardown(self) -> None:
        """Everything that is left comes to its end, and the pages come back: at first of those who
        are ready, then of the others, some of which never are."""
        self.run_all()
        assert self.ended == self.asked.keys() - self.late
        assert self.pool.used == self.pool.pinned
        for number, id in enumerate(sorted(self.late)):
            if number % 2:
                self.roster.meet_need(id, Need.PAGES)
            else:
                assert self.roster.remove(id)
                self.ended.add(id)
        self.run_all()
        assert self.roster.idle
        assert self.ended == set(self.asked)
        self.every_word_is_right()
        assert self.pool.used == self.pool.pinned
        self.pool.drop_cached()
        assert self.pool.used == self.pool.cached == 0
        assert len(self.begun) == len(set(self.begun))

    def run_all(self) -> None:
        for _ in range(5000):
            if not self.roster.runnable:
                break
            self.one_step()


TestPagesAreConserved = Engine.TestCase
TestPagesAreConserved.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)


class EngineAhead(Engine):
    """The same on a device that is given steps before what the ones before have drawn is read, and
    does each as late as it may."""

    def __init__(self) -> None:
        super().__init__()
        self.batch.submit = LazyDevice(self.model.run).submit


TestPagesAreConservedOneStepAhead = EngineAhead.TestCase
TestPagesAreConservedOneStepAhead.settings = TestPagesAreConserved.settings


class EngineSpeculating(Engine):
    """The same with drafts of what may follow. These texts repeat themselves after some words, so
    that drafts are right, wrong, and right at first."""

    def __init__(self) -> None:
        super().__init__()
        self.batch.limits = replace(self.batch.limits, drafted=10)
        self.batch.proposer = Lookup(Speculation(5))


TestPagesAreConservedWithDrafts = EngineSpeculating.TestCase
TestPagesAreConservedWithDrafts.settings = TestPagesAreConserved.settings


class EngineSpeculatingAhead(EngineSpeculating):
    """The same on a device: steps are decided ahead while texts do not repeat themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.device = LazyDevice(self.model.run)
        self.batch.submit = self.device.submit


TestPagesAreConservedWithDraftsAhead = EngineSpeculatingAhead.TestCase
TestPagesAreConservedWithDraftsAhead.settings = settings(
    TestPagesAreConserved.settings, max_examples=30
)


class EngineChunked(Engine):
    """The same where prefills and decodes take turns, on a device that is given steps ahead, and
    pages of few sequences are kept."""

    KEPT = 2

    def __init__(self) -> None:
        super().__init__()
        self.batch.limits = replace(self.batch.limits, chunked=True)
        self.batch.submit = LazyDevice(self.model.run).submit


TestPagesAreConservedInTurns = EngineChunked.TestCase
TestPagesAreConservedInTurns.settings = settings(TestPagesAreConserved.settings, max_examples=30)


class EngineWithAWindow(Engine):
    """The same with a model that sees some of the last tokens, and the first ones: a sequence that
    runs gives back the pages between."""

    SIGHT = Sight(recent=35, sinks=5)


TestPagesAreConservedWithAWindow = EngineWithAWindow.TestCase
TestPagesAreConservedWithAWindow.settings = TestPagesAreConserved.settings


class EngineWithAWindowAhead(EngineSpeculatingAhead):
    """The same without sinks, with drafts, on a device that is given steps ahead, and pages of few
    sequences are kept."""

    KEPT, SIGHT = 2, Sight(recent=20)


TestPagesAreConservedWithAWindowAhead = EngineWithAWindowAhead.TestCase
TestPagesAreConservedWithAWindowAhead.settings = settings(
    TestPagesAreConserved.settings, max_examples=40
)


class EngineDrafting(Engine):
    """The same with drafts of a model that finds what it has computed by the engine's pages. It
    says what the engine's says, so each of its tokens is right as long as it reads what is there:
    whoever shares pages, gives them back or gets those of others."""

    def __init__(self) -> None:
        super().__init__()
        self.batch.limits = replace(self.batch.limits, drafted=10)
        self.batch.proposer = AlwaysRight(SummingModel(PAGES + 4 * SPARE, VOCAB), PAGES, 5)


TestPagesAreConservedWithAModelThatDrafts = EngineDrafting.TestCase
TestPagesAreConservedWithAModelThatDrafts.settings = TestPagesAreConserved.settings


class EngineWithAHead(Engine):
    """The same with a head, which reads sums that the engine's model has kept, as far as it still
    has them: what others have computed it has not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.batch.limits = replace(self.batch.limits, drafted=10)
        self.sums = np.zeros((0, 1), np.float32)
        run = self.model.run

        def and_keep(plan: StepPlan) -> StepOutput:
            output = run(plan)
            rows = range(len(plan.batch.tokens))
            sums = [sum(self.model.read(plan, row)) for row in rows]
            self.sums = np.array(sums, np.float32)[:, None]
            return output

        self.batch.run = and_keep
        head = SummingHead(PAGES + 4 * SPARE, VOCAB)
        reads = HeadModel(head, lambda count: self.sums[:count], 24, 10_000)
        self.batch.proposer = AlwaysRight(reads, PAGES, 5)


TestPagesAreConservedWithAHead = EngineWithAHead.TestCase
TestPagesAreConservedWithAHead.settings = TestPagesAreConserved.settings


class EngineWithBranches(Engine):
    """The same with drafts whose first token is wrong: what was proposed beside it is right, and
    its pages become the sequence's. The pages that a branch has in its step are the pool's again
    when it has ended, be it by a failure."""

    def __init__(self) -> None:
        super().__init__()
        self.batch.limits = replace(self.batch.limits, drafted=10)
        model = SummingModel(PAGES + 4 * SPARE, VOCAB)
        self.batch.proposer = RightBeside(model, PAGES, 2)


TestPagesAreConservedWithBranches = EngineWithBranches.TestCase
TestPagesAreConservedWithBranches.settings = TestPagesAreConserved.settings


class EngineWithASwap(Engine):
    """The same where what was computed of those who give way is copied to host memory, as far as
    there is room, and back."""

    ROOM = 5


TestPagesAreConservedWithASwap = EngineWithASwap.TestCase
TestPagesAreConservedWithASwap.settings = TestPagesAreConserved.settings


class EngineWithASwapAhead(EngineSpeculatingAhead):
    """The same with drafts, on a device that is given steps ahead, and no pages are kept."""

    KEPT, ROOM = 0, 50

    def settled(self) -> Reader:
        if self.device.given:
            self.device.waits(self.device.given[-1])
        return self.model


TestPagesAreConservedWithASwapAhead = EngineWithASwapAhead.TestCase
TestPagesAreConservedWithASwapAhead.settings = TestPagesAreConserved.settings


class EngineDraftingWithASwap(EngineDrafting):
    """The same with drafts of a model that finds what it has computed by the engine's pages."""

    ROOM = 50


TestPagesAreConservedWithAModelThatDraftsAndASwap = EngineDraftingWithASwap.TestCase
TestPagesAreConservedWithAModelThatDraftsAndASwap.settings = TestPagesAreConserved.settings
