"""Who is here, and with which pages: sequences that wait, run, give way and leave."""

import pytest

from raylax.proto.pages import names_of, router_key
from raylax.worker.kv.page_pool import PageChanges, PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from tests.support.counting_model import COMMON, ask, batch, count, run, tokens, without_numbers


def test_pages_of_some_sequences_are_kept_after_their_end() -> None:
    """Those that ended last; with none, who runs beside it finds them nevertheless."""
    cached = {}
    for kept in (0, 2, None):
        made = Batch(Roster(PagePool(64, keep=kept)), StepLimits(64, 4), count)
        for id in range(5):
            made.roster.add(ask(f"{id}", tuple(range(100 * id, 100 * id + 40)), 2))
            run(made)
        cached[kept] = made.roster.pool.cached
        made.roster.add(ask("first", (*COMMON, 1), 3))
        made.step()
        made.roster.add(ask("beside", (*COMMON, 2), 1))
        assert max(delta.cached_tokens for delta in run(made)["beside"]) == len(COMMON)

    assert cached == {0: 0, 2: 4, None: 10}


def test_pages_shared_by_many_do_not_come_back_twice() -> None:
    """Four sequences on the same two pages need a third at once, and there is none: who gives way
    frees its own page, not the shared ones."""
    made = batch(pages=6)
    made.roster.add(ask("first", COMMON, 1))
    run(made)
    prompts = {f"r{i}": (*COMMON, *range(200 + 20 * i, 208 + 20 * i)) for i in range(4)}
    for id, prompt in prompts.items():
        made.roster.add(ask(id, prompt))
    said = run(made)

    assert made.counters.preemptions > 0
    for i in range(4):
        assert tokens(said[f"r{i}"]) == list(range(208 + 20 * i, 228 + 20 * i))
    assert made.roster.pool.used == 0


def test_the_oldest_is_never_preempted() -> None:
    """So somebody always comes to an end."""
    made = batch(pages=8)
    for i in range(4):
        made.roster.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 20)), 60))
    ends = list(run(made))

    assert ends == ["r0", "r1", "r2", "r3"]
    assert made.counters.preemptions >= 3


def test_a_preempted_one_finds_its_own_pages_again() -> None:
    """Which the client is not told: its prompt had not been cached when it came."""
    made = batch(pages=5)
    made.roster.add(ask("old", tuple(range(30)), 30))
    made.roster.add(ask("young", tuple(range(500, 530)), 10))
    said = run(made)

    assert made.counters.preemptions > 0
    assert tokens(said["young"]) == list(range(530, 540))
    assert [d.cached_tokens for d in said["young"]] == [0] * 10
    assert made.counters.cached_tokens == 0


def test_a_preempted_one_goes_before_those_who_wait() -> None:
    """It had its turn already."""
    made = batch(pages=5, sequences=2)
    for id, length in (("old", 30), ("young", 20), ("waits", 20)):
        made.roster.add(ask(id, tuple(range(length)), 30))
    ends = list(run(made))

    assert made.counters.preemptions > 0
    assert ends == ["old", "young", "waits"]


def test_one_that_needs_every_page_runs_alone() -> None:
    """Again and again preempted, it still ends."""
    made = batch(pages=5)
    for i in range(3):
        made.roster.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 10)), 70))
    said = run(made)

    assert {id: len(tokens(deltas)) for id, deltas in said.items()} == {
        "r0": 70, "r1": 70, "r2": 70
    }  # fmt: skip


def test_one_that_could_never_run_is_refused() -> None:
    """It would wait for ever, and everybody behind it."""
    made = batch(pages=5)

    with pytest.raises(ValueError, match="81 tokens needs 6 pages, there are 5"):
        made.roster.add(ask("huge", tuple(range(20)), 61))
    assert made.roster.idle


def test_a_known_beginning_is_shared_by_page() -> None:
    """Full pages only, and never the last token, whose logits are needed."""
    made = batch()
    made.roster.add(ask("first", (*COMMON, 7), 1))
    run(made)
    made.roster.add(ask("same", (*COMMON, 7), 1))
    made.roster.add(ask("pages", COMMON, 1))
    made.roster.add(ask("other", (*COMMON[:16], 9, *COMMON[17:]), 1))
    said = run(made)

    cached = {id: deltas[0].cached_tokens for id, deltas in said.items()}
    assert cached == {"same": 32, "pages": 16, "other": 16}
    assert made.counters.cached_tokens == 64


def test_answers_are_shared_as_prompts_are() -> None:
    """The next turn of a conversation begins with all that was said."""
    made = batch()
    made.roster.add(ask("turn", COMMON[:8], 40))
    answer = tokens(run(made)["turn"])
    made.roster.add(ask("next", (*COMMON[:8], *answer, 5), 1))

    assert run(made)["next"][0].cached_tokens == 32


def test_without_a_prefix_cache_nothing_is_shared() -> None:
    made = batch(prefix_cache=False)
    for _ in range(2):
        made.roster.add(ask("r", (*COMMON, 7), 1))
        said = run(made)

    assert said["r"][0].cached_tokens == 0
    assert made.roster.pool.free == made.roster.pool.total


def test_deadlines_of_those_who_run_and_who_wait() -> None:
    made = batch(sequences=1)
    for id, deadline in (("runs", 5.0), ("waits", 3.0), ("patient", None), ("late", 9.0)):
        made.roster.add(ask(id, (1, 2), deadline=deadline))
    made.step()

    assert made.roster.expire(2.9) == []
    assert made.roster.expire(3.0) == ["waits"]
    assert made.roster.expire(4.0) == []
    assert made.roster.expire(8.0) == ["runs"]
    assert [one.request.id for one in made.roster.everyone()] == ["patient", "late"]
    assert made.roster.pool.used == 0


def test_pages_of_what_is_not_finite_are_not_found_again() -> None:
    """Who asks for the same beginning computes it anew."""
    made = batch()
    made.run = without_numbers
    made.roster.add(ask("bad", (*COMMON, 12), 5))
    run(made)

    assert made.roster.pool.cached == 0
    made.roster.add(ask("good", (*COMMON, 7), 1))
    assert run(made)["good"][0].cached_tokens == 0


def test_changes_of_pages_are_handed_on() -> None:
    """As steps fill them."""
    made = batch()
    made.roster.add(ask("r", (*COMMON, 5), 20))
    made.step()
    first = made.roster.pool.changes()
    run(made)
    later = made.roster.pool.changes()

    names = tuple(map(router_key, names_of((*COMMON, *range(5, 25)))))
    assert (first, later) == (PageChanges(names[:2]), PageChanges(names[2:3]))
