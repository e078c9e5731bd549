"""How an engine says that it stands, while its sequences come and go."""

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.decision.targets import Targets
from raylax.worker.scheduling.load import load_of
from raylax.worker.scheduling.pace.prefill_time import PrefillTime
from raylax.worker.scheduling.pace.step_time import Times
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.counting_model import COMMON, VOCAB, Clock, ask, batch, count, run


def test_load_counts_what_waits_for_its_prefill() -> None:
    """Of those who wait, and of prefills that have begun."""
    made = batch(tokens=8, sequences=2)
    for id, length in (("a", 20), ("b", 5), ("c", 7)):
        made.roster.add(ask(id, tuple(range(length)), 2))
    assert (load_of(made).waiting, load_of(made).queued_tokens) == (3, 32)
    made.step()
    load = load_of(made)
    assert (load.running, load.waiting, load.queued_tokens, load.step) == (1, 2, 24, 1)
    assert load.pages_used == 2
    run(made)
    load = load_of(made)

    assert (load.running, load.waiting, load.queued_tokens, load.pages_used) == (0, 0, 0, 0)
    assert (load.prompt_tokens, load.generated_tokens) == (32, 6)
    assert (load.ended, load.ended_tokens) == (3, 6)


def test_load_counts_who_left_before_its_end() -> None:
    """With what it had of its answer, also if it was preempted or never began."""
    made = batch(tokens=8, sequences=1)
    for id in ("runs", "waits"):
        made.roster.add(ask(id, (1, 2, 3), 9))
    made.step()
    for id in ("runs", "waits", "nobody"):
        made.roster.remove(id)

    load = load_of(made)
    assert (load.ended, load.ended_tokens) == (2, 1)


def test_load_does_not_count_what_is_known_already() -> None:
    """A router that saw whole prompts would avoid the worker that has them."""
    made = batch()
    made.roster.add(ask("a", COMMON + (1,), 2))
    run(made)
    made.roster.add(ask("b", COMMON + (5, 6, 7), 2))
    made.roster.add(ask("c", COMMON, 2))  # at least its last token is computed, with its page

    assert load_of(made).queued_tokens == 3 + 16
    run(made)
    assert load_of(made).queued_tokens == 0


def test_load_counts_a_preempted_one_by_what_it_lost() -> None:
    """Of its pages those are found again that nobody has taken."""
    made = batch(pages=6)
    made.roster.add(ask("old", tuple(range(40)), 40))
    made.roster.add(ask("new", tuple(range(200, 240)), 40))
    while not made.counters.preemptions:
        made.step()
    (new,) = made.roster.waiting
    known = len(made.roster.pool.find(new.names)) * 16

    assert known > 0
    assert load_of(made).queued_tokens == len(new.tokens) - known
    run(made)
    assert load_of(made).queued_tokens == 0


def test_load_tells_what_the_next_step_will_carry() -> None:
    made = batch(tokens=8, sequences=3)
    made.roster.add(ask("talks", (1, 2, 3)))
    made.step()
    made.step()
    made.roster.add(ask("long", tuple(range(100, 120))))
    made.step()
    load = load_of(made)

    assert (load.decoding, load.context_tokens, load.step_tokens) == (1, 5, 8)
    assert (load.prefill_room, load.queued_tokens) == (7, 13)


def test_where_decodes_fill_a_step_there_will_be_room() -> None:
    """Of 16 tokens an eighth: somebody ends sooner or later."""
    made = batch(tokens=16, sequences=16)
    for at in range(16):
        made.roster.add(ask(f"{at}", (1, 2, at)))
    while (load := load_of(made)).decoding < 16:
        made.step()

    assert (load.step_tokens, load.prefill_room) == (16, 2)


def test_the_room_for_prefills_is_what_the_target_leaves() -> None:
    """All of a step where nobody decodes, then as many as the next step will have: routers expect
    the first token by it."""
    limits = StepLimits(512, 4, itl_s=Targets.of(50))
    made = Batch(Roster(PagePool(256), Clock()), limits, count)
    known = StepTime(a=0.01, c=0.002), PrefillTime(token=0.001)
    made.decider.step_time.times = Times(*known, 512, decoded=True)
    alone = load_of(made).prefill_room
    made.roster.add(ask("talks", tuple(range(20)), 6))
    made.step()

    assert (alone, load_of(made).prefill_room) == (512, 38)


def test_the_pace_is_learned_from_its_steps() -> None:
    """By the clock that it is given, as a router will reckon."""
    clock, true = Clock(), StepTime(a=5e-3, b=1e-3, c=2e-3, d=1e-5)
    made = Batch(Roster(PagePool(256), clock), StepLimits(64, 16), count)

    def timed(plan: StepPlan) -> StepOutput:
        load = load_of(made)
        prefill = len(plan.batch.tokens) - load.decoding
        clock.now += true.seconds(prefill, load.decoding, load.context_tokens)
        return count(plan)

    made.run = timed
    for i in range(40):
        prompt = tuple((7 * i + j) % VOCAB for j in range(10 + 5 * i))
        made.roster.add(ask(f"r{i}", prompt, 2 + 3 * i))
    run(made)
    found = load_of(made).pace

    for work in ((0, 1, 100), (0, 4, 800), (0, 16, 3000), (64, 0, 0)):
        assert found.seconds(*work) == pytest.approx(true.seconds(*work), rel=0.15)
