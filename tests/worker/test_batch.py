"""Continuous batching, step by step, with a model that counts: after token t comes t + 1."""

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.worker.batch import Batch, StepFailed
from raylax.worker.pages import PagePool
from raylax.worker.plan import StepPlan
from raylax.worker.scheduler import Limits

VOCAB = 1000
GREEDY = Sampling(temperature=0.0)
COMMON = tuple(range(100, 132))
"""Two pages."""


def count(plan: StepPlan) -> StepOutput:
    chosen = (plan.tokens[plan.rows] + 1) % VOCAB
    logits = np.zeros((len(chosen), VOCAB), np.float32)
    logits[np.arange(len(chosen)), chosen] = 1.0
    return StepOutput(logits, chosen)


def batch(
    pages: int = 64, tokens: int = 64, sequences: int = 4, prefix_cache: bool = True
) -> Batch:
    return Batch(PagePool(pages, prefix_cache), Limits(tokens, sequences), count)


def ask(id: str, prompt: tuple[int, ...], max_tokens: int = 20) -> Request:
    return Request(id, prompt, max_tokens, GREEDY)


def run(made: Batch) -> dict[str, list[Delta]]:
    """Until everybody has ended; in the order of their ends."""
    said: dict[str, list[Delta]] = {}
    ended: list[str] = []
    for _ in range(2000):
        if made.idle:
            return {id: said[id] for id in ended}
        for delta in made.step():
            said.setdefault(delta.request_id, []).append(delta)
            ended += [delta.request_id] if delta.finish else []
    raise AssertionError(f"no end: {made.pool}, {len(made.waiting)} waiting")


def tokens(deltas: list[Delta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


def test_decodes_and_a_prefill_in_one_step() -> None:
    made = batch()
    made.add(ask("a", (1, 2, 3)), None)
    made.step()
    made.add(ask("b", (7, 8, 9)), None)
    deltas = made.step()

    assert {delta.request_id: delta.token_ids for delta in deltas} == {"a": (5,), "b": (10,)}


def test_a_long_prompt_is_cut_and_does_not_stop_the_others() -> None:
    """One token comes of every step while it is computed."""
    made = batch(tokens=32)
    made.add(ask("talks", (1,)), None)
    made.step()
    made.add(ask("long", tuple(range(100, 200)), 2), None)

    assert [[d.request_id for d in made.step()] for _ in range(4)] == [
        *[["talks"]] * 3,
        ["talks", "long"],
    ]


def test_pages_shared_by_many_do_not_come_back_twice() -> None:
    """Four sequences on the same two pages need a third at once, and there is none: who gives way
    frees its own page, not the shared ones."""
    made = batch(pages=6)
    made.add(ask("first", COMMON, 1), None)
    run(made)
    prompts = {f"r{i}": (*COMMON, *range(200 + 20 * i, 208 + 20 * i)) for i in range(4)}
    for id, prompt in prompts.items():
        made.add(ask(id, prompt), None)
    said = run(made)

    assert made.counters.preemptions > 0
    for i in range(4):
        assert tokens(said[f"r{i}"]) == list(range(208 + 20 * i, 228 + 20 * i))
    assert made.pool.used == 0


def test_the_oldest_is_never_preempted() -> None:
    """So somebody always comes to an end."""
    made = batch(pages=8)
    for i in range(4):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 20)), 60), None)
    ends = list(run(made))

    assert ends == ["r0", "r1", "r2", "r3"]
    assert made.counters.preemptions >= 3


def test_a_preempted_one_finds_its_own_pages_again() -> None:
    """Which the client is not told: its prompt had not been cached when it came."""
    made = batch(pages=5)
    made.add(ask("old", tuple(range(30)), 30), None)
    made.add(ask("young", tuple(range(500, 530)), 10), None)
    said = run(made)

    assert made.counters.preemptions > 0
    assert tokens(said["young"]) == list(range(530, 540))
    assert [d.cached_tokens for d in said["young"]] == [0] * 10
    assert made.counters.cached_tokens == 0


def test_a_preempted_one_goes_before_those_who_wait() -> None:
    """It had its turn already."""
    made = batch(pages=5, sequences=2)
    for id, length in (("old", 30), ("young", 20), ("waits", 20)):
        made.add(ask(id, tuple(range(length)), 30), None)
    ends = list(run(made))

    assert made.counters.preemptions > 0
    assert ends == ["old", "young", "waits"]


def test_one_that_needs_every_page_runs_alone() -> None:
    """Again and again preempted, it still ends."""
    made = batch(pages=5)
    for i in range(3):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 10)), 70), None)
    said = run(made)

    assert {id: len(tokens(deltas)) for id, deltas in said.items()} == {
        "r0": 70, "r1": 70, "r2": 70
    }  # fmt: skip


def test_one_that_could_never_run_is_refused() -> None:
    """It would wait for ever, and everybody behind it."""
    made = batch(pages=5)

    with pytest.raises(ValueError, match="81 tokens needs 6 pages, there are 5"):
        made.add(ask("huge", tuple(range(20)), 61), None)
    assert made.idle


def test_a_known_beginning_is_shared_by_page() -> None:
    """Full pages only, and never the last token, whose logits are needed."""
    made = batch()
    made.add(ask("first", (*COMMON, 7), 1), None)
    run(made)
    made.add(ask("same", (*COMMON, 7), 1), None)
    made.add(ask("pages", COMMON, 1), None)
    made.add(ask("other", (*COMMON[:16], 9, *COMMON[17:]), 1), None)
    said = run(made)

    cached = {id: deltas[0].cached_tokens for id, deltas in said.items()}
    assert cached == {"same": 32, "pages": 16, "other": 16}
    assert made.counters.cached_tokens == 64


def test_answers_are_shared_as_prompts_are() -> None:
    """The next turn of a conversation begins with all that was said."""
    made = batch()
    made.add(ask("turn", COMMON[:8], 40), None)
    answer = tokens(run(made)["turn"])
    made.add(ask("next", (*COMMON[:8], *answer, 5), 1), None)

    assert run(made)["next"][0].cached_tokens == 32


def test_without_a_prefix_cache_nothing_is_shared() -> None:
    made = batch(prefix_cache=False)
    for _ in range(2):
        made.add(ask("r", (*COMMON, 7), 1), None)
        said = run(made)

    assert said["r"][0].cached_tokens == 0
    assert made.pool.free == made.pool.total


def test_a_stop_token_ends_and_is_not_said() -> None:
    made = batch()
    made.add(Request("r", (1, 2), 20, GREEDY, stop_token_ids=frozenset({6})), None)
    said = run(made)["r"]

    assert tokens(said) == [3, 4, 5]
    assert said[-1] == Delta("r", finish=Finish.STOP)


def test_history_is_not_said_again() -> None:
    made = batch()
    made.add(Request("r", (1, 2), 6, GREEDY, history=(3, 4)), None)

    assert tokens(run(made)["r"]) == [5, 6, 7, 8]


def test_deadlines_of_those_who_run_and_who_wait() -> None:
    made = batch(sequences=1)
    for id, deadline in (("runs", 5.0), ("waits", 3.0), ("patient", None), ("late", 9.0)):
        made.add(ask(id, (1, 2)), deadline)
    made.step()

    assert made.expire(2.9) == []
    assert made.expire(3.0) == ["waits"]
    assert made.expire(4.0) == []
    assert made.expire(8.0) == ["runs"]
    assert [one.request.id for one in made.everyone()] == ["patient", "late"]
    assert made.pool.used == 0


def test_a_failed_step_takes_its_own_sequences_only() -> None:
    """Who had no part in it goes on, and the pages of the others come back."""
    made = batch(tokens=4)
    for i in range(3):
        made.add(ask(f"r{i}", tuple(range(100 * i, 100 * i + 4)), 2), None)

    def broken(plan: StepPlan) -> StepOutput:
        raise FloatingPointError("on purpose")

    made.run = broken
    with pytest.raises(StepFailed, match="step 1 failed: FloatingPointError: on purpose") as caught:
        made.step()
    made.run = count
    said = run(made)

    assert caught.value.request_ids == ["r0"]
    assert sorted(said) == ["r1", "r2"]
    assert made.pool.used == 0


def test_a_failed_draw_is_a_failed_step() -> None:
    """The model ran, but nothing of it counts."""
    made = batch()
    made.add(Request("r", (1,), 4, Sampling(temperature=0.0, logit_bias=((VOCAB, 1.0),))), None)

    with pytest.raises(StepFailed, match="IndexError"):
        made.step()
    assert (made.idle, made.pool.used) == (True, 0)


def test_load_counts_what_waits_for_its_prefill() -> None:
    """Of those who wait, and of prefills that have begun."""
    made = batch(tokens=8, sequences=2)
    for id, length in (("a", 20), ("b", 5), ("c", 7)):
        made.add(ask(id, tuple(range(length)), 2), None)
    assert (made.load().waiting, made.load().queued_tokens) == (3, 32)
    made.step()
    load = made.load()
    assert (load.running, load.waiting, load.queued_tokens, load.step) == (1, 2, 24, 1)
    assert load.pages_used == 2
    run(made)
    load = made.load()

    assert (load.running, load.waiting, load.queued_tokens, load.pages_used) == (0, 0, 0, 0)
    assert (load.prompt_tokens, load.generated_tokens) == (32, 6)
