"""Sequences that become ready late, never, or when they are gone, in a batch of others."""

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.bypass import MOST_PASSED
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.load import load_of
from raylax.worker.scheduling.readiness import READY, Need, Needs
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.outputs import saying

COMMON = tuple(range(100, 132))
"""Two pages."""
NEEDS_PAGES = frozenset({Need.PAGES})


def say_one(plan: StepPlan) -> StepOutput:
    """A model that says token 1, whatever it reads."""
    return saying([1] * len(plan.batch.rows), 9)


def batch(sequences: int = 4, pages: int = 64) -> Batch:
    return Batch(Roster(PagePool(pages)), StepLimits(64, sequences), say_one)


def ask(
    id: str, prompt: tuple[int, ...] = (1, 2, 3), max_tokens: int = 2, needs: Needs = READY
) -> Sequence:
    request = Request(id, prompt, max_tokens, Sampling(temperature=0.0))
    return Sequence(request, needs=needs)


def late(id: str, prompt: tuple[int, ...] = (1, 2, 3), max_tokens: int = 2) -> Sequence:
    return ask(id, prompt, max_tokens, NEEDS_PAGES)


def steps(made: Batch) -> list[list[str]]:
    """Who has a token of each step, while there is something to compute."""
    said: list[list[str]] = []
    while made.roster.runnable:
        assert len(said) < 100, "it spins"
        said.append([delta.request_id for delta in made.step()])
    return said


def test_others_run_while_it_waits() -> None:
    """It holds no pages, and nothing begins or ends of it."""
    made, begun = batch(), list[str]()
    made.began = begun.extend
    for one in (late("late", COMMON), ask("a"), ask("b")):
        made.roster.add(one)

    assert steps(made) == [["a", "b"], ["a", "b"]]
    assert begun == ["a", "b"]
    assert (made.roster.idle, made.roster.pool.used) == (False, 0)
    assert (load_of(made).waiting, load_of(made).queued_tokens) == (1, 32)


def test_alone_it_makes_no_steps() -> None:
    made = batch()
    made.roster.add(late("late"))

    assert (made.roster.idle, made.roster.runnable) == (False, False)
    assert (made.step(), made.counters.steps) == ([], 0)


def test_it_takes_no_seat() -> None:
    made = batch(sequences=1)
    for one in (late("l0"), late("l1"), ask("a")):
        made.roster.add(one)

    assert steps(made) == [["a"], ["a"]]


def test_once_ready_it_has_its_old_place() -> None:
    """Before all who came after it and have not begun."""
    made = batch(sequences=1)
    for one in (ask("a"), late("late"), ask("b"), ask("c")):
        made.roster.add(one)
    said = [[delta.request_id for delta in made.step()] for _ in range(3)]
    made.roster.meet_need("late", Need.PAGES)
    said += steps(made)

    assert said == [["a"], ["a"], ["b"], ["b"], ["late"], ["late"], ["c"], ["c"]]


def test_a_large_one_that_is_ready_has_its_turn() -> None:
    """However many that are not ready lie before it, and however many that fit come behind it:
    those pass it in so many steps, and then wait."""
    made = batch(pages=4)
    for one in (ask("a", (1,) * 20, 40), late("late"), ask("large", (2,) * 40)):
        made.roster.add(one)
    began: list[str] = []
    made.began = began.extend
    for number in range(3 * MOST_PASSED):
        made.roster.add(ask(f"small{number}", (3,), 1))
        made.step()
    passing = [f"small{number}" for number in range(MOST_PASSED)]
    steps(made)

    assert began[: MOST_PASSED + 2] == ["a", *passing, "large"]
    assert len(began) == 2 + 3 * MOST_PASSED


def test_what_came_for_it_is_found_and_not_counted() -> None:
    """When it becomes ready, not when it was added."""
    made = batch()
    made.roster.add(late("late", (*COMMON, 7)))
    assert load_of(made).queued_tokens == 33
    made.roster.add(ask("before", COMMON, 1))
    steps(made)
    assert load_of(made).queued_tokens == 33
    made.roster.meet_need("late", Need.PAGES)

    assert load_of(made).queued_tokens == 1
    assert [delta.cached_tokens for delta in made.step()] == [32]


def test_it_can_leave_and_be_late() -> None:
    """Whoever meets the need of one that is gone, running or unknown does no harm."""
    made = batch()
    for one in (late("gone"), ask("runs")):
        made.roster.add(one)
    made.step()
    assert made.roster.remove("gone")
    for id in ("gone", "runs", "nobody"):
        made.roster.meet_need(id, Need.PAGES)

    assert steps(made) == [["runs"]]
    assert (made.roster.idle, load_of(made).queued_tokens) == (True, 0)


def test_its_deadline_is_known() -> None:
    """Also to whoever waits for it to pass."""
    made = batch()
    assert made.roster.due_in(3.0) is None
    made.roster.add(Sequence(Request("late", (1,), 2), deadline=5.0, needs=NEEDS_PAGES))

    assert (made.roster.due_in(3.0), made.roster.due_in(7.0)) == (2.0, 0.0)
    assert (made.roster.expire(4.0), made.roster.expire(5.0)) == ([], ["late"])
    assert (made.roster.idle, made.roster.due_in(7.0)) == (True, None)
