"""Whose turn it is, in real batches: tenants, classes, and who gives way."""

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Priority, Request
from raylax.worker.itl_targets import TargetsMs
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decider import MOST_PREEMPTED, Decider
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.decision.targets import FEW, MANY, Targets
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.speculation.row_cost import weighed_rows
from tests.support.counting_model import GREEDY, Clock, ask_for, batch, count, run, tokens


def test_a_tenant_with_many_requests_does_not_keep_others_waiting() -> None:
    """Its prompts and its answers count; who has had less is admitted first."""
    made = batch(sequences=1)
    for i in range(6):
        made.roster.add(ask_for("many", f"m{i}", (1, 2, 3), 4))
    for i in range(2):
        made.roster.add(ask_for("few", f"f{i}", (5, 6, 7), 4))
    ends = list(run(made))

    assert ends == ["m0", "f0", "m1", "f1", "m2", "m3", "m4", "m5"]


def test_answers_count_twice() -> None:
    """Forty tokens of an answer are as much as eighty of a prompt."""
    made = batch(sequences=1)
    made.roster.add(ask_for("talks", "t0", (1,), 40))
    made.step()
    made.roster.add(ask_for("talks", "t1", (1,), 1))
    for i in range(12):
        made.roster.add(ask_for("reads", f"r{i}", tuple(range(10)), 1))
    ends = list(run(made))

    assert ends.index("t1") in (7, 8, 9)


def urgent(id: str, first: int, priority: Priority) -> Sequence:
    prompt = tuple(range(first, first + 20))
    return Sequence(Request(id, prompt, 60, GREEDY, priority=priority))


def test_the_urgent_go_first_and_stay() -> None:
    """They are admitted before all others, and others make room for them, who were there first."""
    made = batch(pages=8)
    made.roster.add(urgent("low", 0, Priority.LOW))
    made.step()
    made.roster.add(urgent("normal", 200, Priority.NORMAL))
    made.roster.add(urgent("high", 100, Priority.HIGH))
    said = run(made)

    assert made.counters.preemptions > 0
    assert list(said) == ["high", "normal", "low"]
    assert tokens(said["low"]) == list(range(21, 80))


def test_one_of_the_lowest_class_gives_its_seat_to_the_highest_so_often() -> None:
    """It goes on from its pages, says what it would have said, and comes to its end though urgent
    ones come all the time."""
    made = Batch(Roster(PagePool(64)), StepLimits(64, 1), count)
    low = Request("low", tuple(range(20)), 120, GREEDY, priority=Priority.LOW)
    made.roster.add(Sequence(low))
    said, ends = {"low": list[int]()}, list[str]()
    for number in range(400):
        if number % 100 == 5:
            made.roster.add(urgent(f"high{number}", 200, Priority.HIGH))
        for delta in made.step():
            said.setdefault(delta.request_id, []).extend(delta.token_ids)
            ends += [delta.request_id] if delta.finish is not None else []

    assert made.counters.preemptions == MOST_PREEMPTED
    assert ends == ["high5", "high105", "low", "high205", "high305"]
    assert said["low"] == list(range(20, 140))


def test_nobody_waits_for_ever() -> None:
    """After two minutes the least urgent has its turn, though urgent ones come all the time."""
    clock = Clock()
    made = Batch(Roster(PagePool(64), clock), StepLimits(64, 1), count)
    made.roster.add(urgent("low", 0, Priority.LOW))
    begun: list[str] = []
    made.began = begun.extend
    while "low" not in begun:
        assert clock.now < 100.0 + 200.0
        made.roster.add(urgent(f"high{clock.now}", 100, Priority.HIGH))
        made.step()
        clock.now += 1.0

    assert clock.now >= 100.0 + 120.0


def test_who_gives_way_goes_on_from_its_pages() -> None:
    """It loses what its last page had, and nothing that it has said."""
    sizes = dict[int, list[int]]()

    def noted(plan: StepPlan) -> StepOutput:
        sizes[plan.number] = np.diff(plan.batch.query_starts).tolist()
        return count(plan)

    made = Batch(Roster(PagePool(64)), StepLimits(64, 2), noted)
    made.roster.add(ask_for("greedy", "old", (1,), 60))
    made.roster.add(ask_for("greedy", "young", tuple(range(2, 22)), 60))
    for _ in range(10):
        made.step()
    made.roster.add(ask_for("small", "s", (5, 6), 2))
    said = run(made)

    assert list(said) == ["s", "old", "young"]
    assert made.counters.preemptions == 1
    assert sizes[11] == [2] or sizes[11] == [1, 2]
    assert max(sizes[13]) == 30 - 16  # of 20 and 10 tokens one page is found
    assert tokens(said["young"]) == list(range(32, 82))
    assert [delta.cached_tokens for delta in said["young"]] == [0] * 50


def test_tenants_with_their_due_do_not_take_it_from_each_other() -> None:
    """However often they ask: nobody is preempted but once, when the other one came."""
    made = batch(sequences=4, pages=256)
    for i in range(20):
        made.roster.add(ask_for("a", f"a{i}", (1, 2, 3), 20))
    for _ in range(3):
        made.step()
    for i in range(20):
        made.roster.add(ask_for("b", f"b{i}", (1, 2, 3), 20))
    run(made)

    assert made.counters.preemptions == 2


@pytest.mark.parametrize("pages", [256, 90], ids=["few seats", "few pages"])
def test_more_tenants_than_fit_take_turns(pages: int) -> None:
    """Though nobody has more than its due, and no answer is near its end."""
    made = batch(pages=pages, sequences=2 if pages == 256 else 4)
    for at, tenant in enumerate("abc"):
        made.roster.add(ask_for(tenant, tenant, tuple(range(at, 500 + at)), 800))
    begun = dict[str, int]()
    ended = dict[str, int]()
    for number in range(8000):
        for delta in made.step():
            begun.setdefault(delta.request_id, number)
            if delta.finish:
                ended[delta.request_id] = number
        if made.roster.idle:
            break

    assert max(begun.values()) < 700
    assert ended.keys() == set("abc")
    assert 2 <= made.counters.preemptions <= 12


def test_it_learns_what_rows_cost_in_their_tiles() -> None:
    """Else steps of one row and of eight would say that a row costs little, for all of them."""
    decider = Decider(Roster(PagePool(64)), StepLimits(64, 16, tile_rows=8))
    for _ in range(500):
        for rows in (1, 8, 9, 16):
            decider.learn((0, rows, 0), 1.0 + weighed_rows(rows, 8), False)

    assert decider.step_time.value.c == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("target_ms", "waiting", "before", "saturated"),
    [
        ("auto", MANY, False, True),
        ("auto", MANY - 1, False, False),
        ("auto", MANY - 1, True, True),
        ("auto", FEW, True, True),
        ("auto", FEW - 1, True, False),
        (50, MANY, False, False),  # a target that was set holds
        (0, MANY, False, False),
        ({"high": 30, "normal": "auto", "low": 500}, MANY, False, True),
    ],
)
def test_steps_are_full_while_many_wait_for_their_first_tokens(
    target_ms: TargetsMs, waiting: int, before: bool, saturated: bool
) -> None:
    """From many on until there are few: so streams of an engine that fills up change their pace
    seldom."""
    targets = Targets.of(target_ms)
    decider = Decider(Roster(PagePool(64)), StepLimits(64, 16, itl_s=targets), saturated=before)
    for number in range(waiting):
        decider.roster.add(urgent(f"r{number}", 100 * number, Priority.NORMAL))

    assert decider.limits_of([]).itl_s == (targets.without_auto if saturated else targets)
