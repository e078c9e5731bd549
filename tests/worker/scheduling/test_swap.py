"""Who gives way and comes back, in real batches: copied out and back, or computed again."""

import pytest

from raylax.proto.vocabulary import Priority, Request
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.kv.sight import Sight
from raylax.worker.kv.swap import Swap
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.pace.prefill_time import PrefillTime
from raylax.worker.scheduling.pace.step_time import Times
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from tests.support.counting_model import GREEDY, Poison, ask, run, tokens
from tests.worker.kv.test_swap import Memory

PROMPT, ANSWER = 40, 40
CHEAP, DEAR = 1e-6, 1e6


class Rig:
    """An engine of which two requests fit in, but not to their ends."""

    def __init__(self, page_s: float, room: int = 8, sight: Sight | None = None) -> None:
        self.model, self.memory = Poison(), Memory()  # it fails for none: it remembers
        self.swap = Swap(self.memory.read, self.memory.write, room, page_s)
        pool = PagePool(8, prefix_cache=False)
        roster = Roster(pool, lambda: 0.0, sight=sight or Sight(), swap=self.swap)
        self.batch = Batch(roster, StepLimits(64, 4), self.model)
        self.batch.decider.step_time.times = Times(prefill=PrefillTime(token=1e-3))

    def both(self) -> dict[str, list[int]]:
        """What two requests say that grow beyond the pages."""
        for at, name in enumerate("ab"):
            prompt = tuple(range(100 * at, 100 * at + PROMPT))
            self.batch.roster.add(ask(name, prompt, ANSWER))
        return {name: tokens(deltas) for name, deltas in run(self.batch).items()}


SAID = {"a": list(range(40, 80)), "b": list(range(140, 180))}


@pytest.mark.parametrize(("page_s", "again"), [(CHEAP, False), (DEAR, True)])
def test_who_comes_back_is_computed_again_where_that_takes_less(page_s: float, again: bool) -> None:
    """Else its pages are there as they were, and no token is computed twice."""
    rig = Rig(page_s)
    said = rig.both()
    counters = rig.batch.counters

    assert said == SAID
    assert counters.preemptions > 0
    assert (sum(rig.model.tokens_of_steps) > 2 * (PROMPT + ANSWER - 1)) == again
    assert (counters.pages_put_back == 0) == again
    assert rig.swap.used == 0


@pytest.mark.parametrize(("room", "sight"), [(2, None), (8, Sight(recent=16))])
def test_what_cannot_be_kept_is_computed_again(room: int, sight: Sight | None) -> None:
    """There is no room for its pages, or some of them are gone."""
    rig = Rig(CHEAP, room, sight)

    assert rig.both() == SAID
    assert rig.batch.counters.pages_put_back == 0


def test_who_leaves_while_it_waits_leaves_its_room() -> None:
    rig = Rig(CHEAP)
    for at, name in enumerate("ab"):
        rig.batch.roster.add(ask(name, tuple(range(100 * at, 100 * at + PROMPT)), ANSWER))
    while not rig.swap.used:
        rig.batch.step()
    (waiting,) = rig.batch.roster.waiting
    rig.batch.roster.remove(waiting.request.id)

    assert rig.swap.used == 0


def test_who_gives_its_seat_to_a_higher_class_comes_back_with_its_pages() -> None:
    """One token of it is computed then, and all of its answer is said."""
    rig = Rig(CHEAP)
    limits = StepLimits(64, 1)
    batch = Batch(rig.batch.roster, limits, rig.model)
    batch.decider.step_time.times = rig.batch.decider.step_time.times
    low = Request("low", tuple(range(PROMPT)), 8, GREEDY, priority=Priority.LOW)
    batch.roster.add(Sequence(low))
    for _ in range(3):
        batch.step()
    batch.roster.add(Sequence(Request("high", (7,), 2, GREEDY, priority=Priority.HIGH)))
    said = run(batch)

    assert tokens(said["low"]) == list(range(43, 48))
    assert rig.model.tokens_of_steps == [PROMPT, 1, 1, 1, 1, *[1] * 5]
    assert batch.counters.pages_put_back == 3
