"""A device is given the next step before anybody reads what this one draws."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.outcomes import StepFailed
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.drawing import drawn, undrawn
from tests.support.lazy_device import LazyDevice

GREEDY, DRAWN = Sampling(temperature=0.0), Sampling(seed=3)
BIASED = Sampling(seed=4, logit_bias=((5, 2.0),))


@dataclass
class Rig:
    """A batch on such a device, and what it has said."""

    run: Callable[[StepPlan], StepOutput] = drawn
    pages: int = 64
    limits: StepLimits = field(default_factory=lambda: StepLimits(16, 4))
    said: dict[str, list[int]] = field(default_factory=dict)
    ends: dict[str, Finish] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = LazyDevice(self.run)
        self.pool = PagePool(self.pages)
        self.batch = Batch(
            Roster(self.pool), self.limits, self.run, model_draws=True, submit=self.device.submit
        )

    def ask(self, id: str, sampling: Sampling = GREEDY, count: int = 8, **more: object) -> None:
        request = Request(id, (3, len(id), 7), count, sampling)
        self.batch.roster.add(Sequence(replace(request, **more)))  # type: ignore[arg-type]

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            for delta in self.batch.step():
                self.take(delta)
            assert self.pool.free + self.pool.cached + self.pool.used == self.pages

    def take(self, delta: Delta) -> None:
        assert delta.request_id not in self.ends, "a word after the end"
        self.said.setdefault(delta.request_id, []).extend(delta.token_ids)
        if delta.finish is not None:
            self.ends[delta.request_id] = delta.finish

    def run_all(self) -> dict[str, list[int]]:
        while not self.batch.roster.idle:
            self.step()
        assert self.pool.used == 0
        return self.said

    @property
    def ahead(self) -> list[int]:
        """How many steps the device had at each wait, beside the one that was waited for."""
        return [len(numbers) - 1 for numbers in self.device.waited]


def alone(sampling: Sampling = GREEDY, count: int = 8, id: str = "a", **more: object) -> list[int]:
    """What a request gets of an engine that draws, a step at a time."""
    batch, said = Batch(Roster(PagePool(64)), StepLimits(16, 4), undrawn), list[int]()
    request = Request(id, (3, len(id), 7), count, sampling)
    batch.roster.add(Sequence(replace(request, **more)))  # type: ignore[arg-type]
    while not batch.roster.idle:
        for delta in batch.step():
            said += delta.token_ids
    return said


def test_every_step_but_the_last_has_one_behind_it() -> None:
    """From the prompt's on: the device is never without one."""
    rig = Rig()
    rig.ask("a", count=6)
    rig.ask("bb", DRAWN, count=6)
    rig.ask("ccc", BIASED, count=4)

    assert rig.run_all() == {
        "a": alone(count=6),
        "bb": alone(DRAWN, 6, "bb"),
        "ccc": alone(BIASED, 4, "ccc"),
    }
    assert rig.ahead == [1, 1, 1, 1, 1, 0]


def test_the_step_behind_takes_its_tokens_on_the_device() -> None:
    """Those of rows, which are others where a sequence has come to its end."""
    rig = Rig()
    for id, count in (("a", 3), ("bb", 1), ("ccc", 3)):
        rig.ask(id, count=count)
    rig.step()

    first, second = (one.plan.batch for one in rig.device.given)
    assert first.tokens.min() >= 0
    assert second.tokens.tolist() == [-1, -3]
    assert second.positions.tolist() == [3, 3]
    assert second.kv_lengths.tolist() == [4, 4]


@pytest.mark.parametrize("at", range(4))
def test_a_token_that_stops_is_the_last(at: int) -> None:
    """Though the device was already at the one behind it, which is nobody's; the others go on."""
    said = alone(DRAWN, id="bb")
    stops = frozenset({said[at]})
    rig = Rig()
    rig.ask("a")
    rig.ask("bb", DRAWN, stop_token_ids=stops)
    rig.run_all()

    assert rig.said["bb"] == said[: said.index(said[at])]
    assert rig.ends == {"a": Finish.LENGTH, "bb": Finish.STOP}
    assert rig.said["a"] == alone()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(presence_penalty=0.5),
        Sampling(temperature=0.0, repetition_penalty=1.5),
        Sampling(temperature=0.0, top_logprobs=1),
    ],
    ids=("presence", "repetition", "logprobs"),
)
def test_nothing_goes_ahead_of_a_token_that_the_host_needs(sampling: Sampling) -> None:
    """The next draw's penalties, or logits that the next step would write over."""
    rig = Rig(lambda plan: drawn(plan)._replace(logits=undrawn(plan).logits))
    rig.ask("a")
    rig.ask("bb", sampling, count=3)
    rig.run_all()

    assert rig.ahead[:3] == [0, 0, 0]
    assert rig.ahead[3:] == [1, 1, 1, 1, 0]
    assert rig.said == {"a": alone(), "bb": alone(sampling, 3, "bb")}


def test_a_vector_is_read_before_the_next_step() -> None:
    rig = Rig()
    rig.ask("a")
    rig.ask("bb", embed=True)
    rig.step()

    assert rig.ahead == [0]
    assert rig.ends == {"bb": Finish.STOP}


def test_who_waits_is_admitted_as_soon_as_there_is_room() -> None:
    """The next decision would admit somebody: it is left to be made."""
    rig = Rig(limits=StepLimits(16, 2))
    rig.ask("a")
    rig.step(2)
    rig.ask("bb")
    rig.ask("ccc")
    rig.step(2)

    assert rig.ahead == [1, 1, 0, 1], "the third was given before anybody came"
    assert len(rig.said["bb"]) == 1
    rig.run_all()
    assert rig.said["ccc"] == alone(id="ccc")


def test_who_waits_for_pages_has_them_as_soon_as_they_are_given_back() -> None:
    """Of a sequence of which it is known that it ends: the step behind is decided afterwards."""
    rig = Rig(pages=2)
    for id, count in (("a", 3), ("bb", 8), ("ccc", 2)):
        rig.ask(id, count=count)
    rig.step(4)

    assert rig.ahead[:3] == [1, 1, 0]
    assert rig.said["ccc"] == alone(count=2, id="ccc")[:1]


def test_a_prompt_in_chunks_is_decided_step_by_step() -> None:
    rig = Rig(limits=StepLimits(4, 2))
    rig.ask("a", prompt=tuple(range(10)), count=3)
    rig.run_all()

    assert rig.ahead == [0, 0, 1, 1, 0]


def test_preempting_is_decided_with_all_tokens_known() -> None:
    """Where pages do not suffice for the step behind."""
    rig = Rig(pages=3, limits=StepLimits(40, 2))
    for id in ("a", "bb"):
        rig.ask(id, prompt=(*range(14), len(id)), count=20)
    said = rig.run_all()

    assert rig.batch.counters.preemptions > 0
    for id in ("a", "bb"):
        assert said[id] == alone(count=20, prompt=(*range(14), len(id)))


def test_who_leaves_while_the_device_is_at_the_next_step() -> None:
    """Its pages are others' at once; who comes by the same id has nothing of it."""
    rig = Rig(pages=4, limits=StepLimits(40, 2))
    rig.ask("a", prompt=tuple(range(14)), count=30)
    rig.ask("bb", count=8)
    rig.step(4)
    rig.batch.roster.remove("a")
    rig.said.pop("a")
    rig.ask("a", DRAWN, prompt=(9, 9), count=20)
    rig.run_all()

    assert rig.said == {"a": alone(DRAWN, 20, prompt=(9, 9)), "bb": alone(id="bb")}


def test_when_all_have_left_the_step_is_forgotten() -> None:
    rig = Rig()
    rig.ask("a")
    rig.step()
    rig.batch.roster.remove("a")
    rig.ask("bb", count=2)
    rig.run_all()

    assert rig.said == {"a": alone()[:1], "bb": alone(id="bb", count=2)}
    assert rig.device.waited == [[1, 2], [2, 3, 4], [4]]


@dataclass
class Failing:
    """A step that has this token in it fails, if it is of several sequences."""

    token: int
    failed: int = 0

    def __call__(self, plan: StepPlan) -> StepOutput:
        if self.token in plan.batch.tokens and len(plan.batch.kv_lengths) > 1:
            self.failed += 1
            raise RuntimeError("broken on purpose")
        return drawn(plan)


@pytest.mark.parametrize("at", range(3))
def test_nothing_of_a_step_that_failed_or_of_the_one_behind_it_counts(at: int) -> None:
    """All go on where they were, each alone at first, and nobody is to blame who was not."""
    failing = Failing(alone(id="bb")[at])
    rig = Rig(failing)
    rig.ask("a")
    rig.ask("bb")
    with pytest.raises(StepFailed) as failure:
        rig.step(at + 3)
    assert failure.value.request_ids == []
    before = {id: len(said) for id, said in rig.said.items()}
    rig.step(2)

    assert failing.failed == 1
    assert {id: len(said) - before[id] for id, said in rig.said.items()} == {"a": 1, "bb": 1}
    rig.run_all()
    assert rig.said == {"a": alone(), "bb": alone(id="bb")}


def test_who_was_left_of_a_step_that_failed_is_not_to_blame() -> None:
    """The other one of it has stopped at the token before."""
    said = alone(id="bb")
    failing = Failing(said[0])
    rig = Rig(failing)
    rig.ask("a")
    rig.ask("bb", stop_token_ids=frozenset(said[:1]))
    rig.step()
    with pytest.raises(StepFailed) as failure:
        rig.step()

    assert failure.value.request_ids == []
    rig.run_all()
    assert rig.said["a"] == alone()


def test_a_step_that_cannot_be_given_before_its_time_is_given_in_it() -> None:
    rig = Rig()
    submit, refused = rig.device.submit, list[int]()

    def once(plan: StepPlan) -> object:
        if plan.number == 3 and not refused:
            refused.append(plan.number)
            raise MemoryError("no room for a graph")
        return submit(plan)

    rig.batch.submit = once  # type: ignore[assignment]
    rig.ask("a")
    rig.run_all()

    assert refused == [3]
    assert rig.said == {"a": alone()}


def test_tokens_are_taken_of_the_step_before_alone() -> None:
    """Another one, as that of a self-check, has drawn since: then the host says them."""
    rig = Rig()
    rig.ask("a")
    rig.step(2)
    rig.device.submit(rig.device.given[0].plan)
    rig.run_all()

    assert rig.said == {"a": alone()}
    assert rig.ahead[:3] == [1, 1, 1]
