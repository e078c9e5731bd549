"""Vectors of more states than the last one: a mean over a prompt, and its first token's."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from raylax import EngineConfig
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.loading import options_of
from tests.support.engines import Answers, Gate, request, running_engine
from tests.support.paths import GOLDENS

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1, pooling="mean")
PROMPT = tuple(np.random.default_rng(5).integers(0, 97, 70).tolist())
OTHERS = [tuple(np.random.default_rng(i).integers(0, 97, 9 + 5 * i).tolist()) for i in range(3)]
Vector = tuple[float, ...]


def wanting(id: str, prompt: tuple[int, ...] = PROMPT, **more: Any) -> Request:
    return Request(id, prompt, 1, embed=True, **more)


def ask(engine: ThreadedEngine, answers: Answers, *requests: Request) -> list[Delta]:
    """The last delta of each; they share their steps."""
    with Gate(engine) as gate:
        for one in requests:
            engine.add_request(one)
        gate.let(1)
    answers.wait_for(*(one.id for one in requests))
    return [answers.deltas[one.id][-1] for one in requests]


@pytest.fixture(scope="module")
def running(checkpoint: Path) -> Iterator[tuple[ThreadedEngine, Answers]]:
    with running_engine(checkpoint, CONFIG) as made:
        yield made


@pytest.fixture(scope="module")
def alone(running: tuple[ThreadedEngine, Answers]) -> Vector:
    """The vector of the prompt, computed in one step with nothing beside it."""
    engine, answers = running
    engine.reset()
    return ask(engine, answers, wanting("alone"))[0].embedding


def golden(states: Any) -> Any:
    return states / np.linalg.norm(states)


def test_it_is_the_mean_that_transformers_has(running: tuple[ThreadedEngine, Answers]) -> None:
    """Of the states behind the final norm, at length 1."""
    with np.load(GOLDENS / "logits.npz") as file, np.load(GOLDENS / "hidden.npz") as states:
        ids, want = tuple(file["llama/ids"].tolist()), golden(states["llama"].mean(0))
        last = golden(states["llama"][-1])
    engine, answers = running
    (end,) = ask(engine, answers, wanting("golden", ids))

    assert np.allclose(end.embedding, want, rtol=0, atol=1e-4)
    assert not np.allclose(end.embedding, last, rtol=0, atol=1e-2)
    assert math.isclose(math.hypot(*end.embedding), 1, abs_tol=1e-6)
    assert answers.ends("golden") == [Finish.STOP]
    assert engine.load().pages_used == 0


def test_or_the_first_state(checkpoint: Path) -> None:
    """Which knows nothing of what follows, in a model that looks back."""
    with np.load(GOLDENS / "logits.npz") as file, np.load(GOLDENS / "hidden.npz") as states:
        ids, want = tuple(file["llama/ids"].tolist()), golden(states["llama"][0])
    config = replace(CONFIG, pooling="cls", prefill_chunk_size=7)
    with running_engine(checkpoint, config) as (engine, answers):
        first, again = ask(engine, answers, wanting("a", ids), wanting("b", ids[:1]))

    assert np.allclose(first.embedding, want, rtol=0, atol=1e-4)
    assert again.embedding == first.embedding


def test_it_is_the_same_in_any_batch(
    running: tuple[ThreadedEngine, Answers], alone: Vector
) -> None:
    """Law 1, beside other vectors and answers, which go on as if it were not there."""
    engine, answers = running
    beside = [request(f"beside-{i}", other) for i, other in enumerate(OTHERS[:2])]
    engine.reset()
    another, got, *_ = ask(
        engine, answers, wanting("another", OTHERS[2]), wanting("in a batch"), *beside
    )
    engine.reset()
    (apart,) = ask(engine, answers, request("apart", OTHERS[0]))

    assert got.embedding == alone
    assert another.embedding != alone
    assert apart.finish is Finish.LENGTH
    assert answers.tokens("beside-0") == answers.tokens("apart")


def test_it_is_the_same_after_a_cached_beginning(
    running: tuple[ThreadedEngine, Answers], alone: Vector
) -> None:
    """Law 1: what is in the cache is computed once more. Others find what it has left there."""
    engine, answers = running
    engine.reset()
    ask(engine, answers, wanting("first"))
    again, text = ask(engine, answers, wanting("again"), request("text", PROMPT))

    assert (again.embedding, again.cached_tokens) == (alone, 0)
    assert answers.deltas["text"][1].cached_tokens == 64


@pytest.mark.parametrize("size", [4, 7, 16, 33])
def test_it_is_the_same_however_its_prefill_is_cut(
    checkpoint: Path, alone: Vector, size: int
) -> None:
    """Law 1."""
    config = replace(CONFIG, prefill_chunk_size=size)
    with running_engine(checkpoint, config) as (engine, answers):
        steps = engine.load().step
        cut, other = ask(engine, answers, wanting("cut"), wanting("other", OTHERS[1]))

        assert engine.load().step - steps >= len(PROMPT) // size
        assert cut.embedding == alone
        assert other.embedding != alone


def test_it_is_the_same_after_preemption(checkpoint: Path) -> None:
    """What was added up stays so when its pages are gone, and is not added again."""
    prompt = PROMPT + PROMPT[:40]
    config = replace(CONFIG, prefill_chunk_size=4, max_total_sequence_length=256)
    with running_engine(checkpoint, config) as (engine, answers):
        (alone,) = ask(engine, answers, wanting("alone", prompt))
        engine.reset()
        greedy = Sampling(temperature=0.0)
        rivals = [Request(f"rival-{i}", PROMPT[i : i + 40], 60, greedy) for i in range(2)]
        *_, end = ask(engine, answers, *rivals, wanting("end", prompt))

        assert engine.load().preemptions > 0
        assert end.embedding == alone.embedding


def test_shards_have_it_on_the_leader(checkpoint: Path, alone: Vector) -> None:
    """Sums in two parts round otherwise."""
    config = replace(CONFIG, tensor_parallel_shards=2)
    with running_engine(checkpoint, config) as (engine, answers):
        (end,) = ask(engine, answers, wanting("sharded"))

    assert np.allclose(end.embedding, alone, rtol=0, atol=1e-5)


def test_logits_are_none_of_its_affair(
    running: tuple[ThreadedEngine, Answers], checkpoint: Path
) -> None:
    """Those of a pair that is judged are behind its last token."""
    judged = wanting("judged", logits_of=(3, 5))
    found = ask(*running, judged)[0].embedding
    with running_engine(checkpoint, replace(CONFIG, pooling="last")) as plain:
        assert ask(*plain, judged)[0].embedding == found


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"pipeline_parallel_stages": 2}, "needs the last layer on rank 0, found pipeline_paral"),
        ({"pooling": "max"}, "pooling must be one of auto, last, mean, cls"),
    ],
)
def test_what_does_not_go_together_is_named(
    checkpoint: Path, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        options_of(replace(CONFIG, model=str(checkpoint), mode="local", **more), "cpu")


@pytest.mark.parametrize("asked", ["auto", "last"])
def test_by_itself_it_is_the_last_state(checkpoint: Path, asked: Literal["auto", "last"]) -> None:
    """And a model that need not keep anything keeps nothing."""
    config = replace(CONFIG, model=str(checkpoint), mode="local", pooling=asked)

    assert options_of(config, "cpu").taps == ()
