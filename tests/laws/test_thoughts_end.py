"""A thought ends behind its budget, whatever the model says, and law 1 holds for that. The model
has random weights: it knows nothing of thoughts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raylax.proto.vocabulary import Request, Sampling, ThinkingLimit
from raylax.worker.engine.threaded_engine import ThreadedEngine
from tests.support.engines import ONE, Answers, running_engine

CLOSE, LENGTH, BUDGET = (96, 97), 24, 10
LIMIT = ThinkingLimit(BUDGET, (), CLOSE[0], CLOSE)
DRAWN = {
    "greedy": Sampling(temperature=0.0),
    "seeded": Sampling(temperature=1.0, seed=3),
    "other tokens alone": Sampling(temperature=0.0, allowed_token_ids=(3, 4, 5)),
    "too short": Sampling(temperature=0.0, min_tokens=20),
}
CONFIG = replace(ONE, max_num_sequence=8, max_single_sequence_length=256)


def asked(name: str, limit: ThinkingLimit | None = LIMIT) -> Request:
    sampling = replace(DRAWN[name], thinking=limit, logit_bias=((CLOSE[0], -100.0),))
    return Request(name, (5, 6, 7) * 9, LENGTH, sampling)


@pytest.fixture(scope="module")
def together(checkpoint: Path) -> Iterator[tuple[ThreadedEngine, Answers]]:
    """All of them at once, with drafts of what was said before."""
    config = replace(CONFIG, speculative_mode="ngram")
    with running_engine(checkpoint, config) as (engine, answers):
        for name in DRAWN:
            engine.add_request(asked(name))
        answers.wait_for(*DRAWN)
        yield engine, answers


@pytest.fixture(scope="module")
def alone(checkpoint: Path) -> Answers:
    """Each by itself, without drafts; and without a limit."""
    config = replace(CONFIG, speculative_mode="disable", max_num_sequence=1)
    with running_engine(checkpoint, config) as (engine, answers):
        for name in DRAWN:
            engine.add_request(asked(name))
            engine.add_request(replace(asked(name, None), id=f"{name}, free"))
            answers.wait_for(name, f"{name}, free")
        return answers


@pytest.mark.parametrize("name", DRAWN)
def test_a_thought_ends_behind_its_budget(alone: Answers, name: str) -> None:
    """Until then it is what it would have been; then its end is said, though all else forbids
    it."""
    said, free = alone.tokens(name), alone.tokens(f"{name}, free")

    assert said[:BUDGET] == free[:BUDGET]
    assert tuple(said[BUDGET : BUDGET + len(CLOSE)]) == CLOSE
    assert len(said) == LENGTH and said.count(CLOSE[0]) == 1
    assert CLOSE[0] not in free


@pytest.mark.parametrize("name", DRAWN)
def test_neighbours_and_drafts_change_nothing(
    alone: Answers, together: tuple[ThreadedEngine, Answers], name: str
) -> None:
    assert together[1].tokens(name) == alone.tokens(name)


@pytest.mark.parametrize("told", [1, BUDGET - 1, BUDGET, BUDGET + 1, BUDGET + 2])
def test_an_answer_goes_on_elsewhere_as_it_would_have(
    alone: Answers, together: tuple[ThreadedEngine, Answers], told: int
) -> None:
    """Wherever it was left: within its thought, and within the end of it."""
    engine, answers = together
    whole = alone.tokens("seeded")
    again = replace(asked("seeded"), id=f"after {told}", history=tuple(whole[:told]))
    engine.add_request(again)
    answers.wait_for(again.id)

    assert answers.tokens(again.id) == whole[told:]


def test_a_thought_that_ended_by_itself_is_ended_no_more(
    together: tuple[ThreadedEngine, Answers],
) -> None:
    engine, answers = together
    free = replace(asked("greedy", None), id="free")
    engine.add_request(free)
    answers.wait_for("free")
    said = answers.tokens("free")
    ended = ThinkingLimit(BUDGET, (), said[BUDGET - 1], CLOSE)
    engine.add_request(replace(asked("greedy", ended), id="ended"))
    answers.wait_for("ended")

    assert answers.tokens("ended") == said
