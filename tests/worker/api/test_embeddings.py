"""A request that wants a vector: it ends after its prefill, and its prompt alone says how."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax import AsyncMLCEngine, EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest
from raylax.proto.vocabulary import Delta, Finish, Request
from raylax.worker.engine.threaded_engine import ThreadedEngine
from tests.support.engines import (
    Answers,
    Gate,
    request,
    running_engine,
)
from tests.support.paths import GOLDENS

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)
PROMPT = tuple(np.random.default_rng(5).integers(0, 97, 70).tolist())
OTHERS = [tuple(np.random.default_rng(i).integers(0, 97, 9 + 5 * i).tolist()) for i in range(3)]


def wanting(id: str, prompt: tuple[int, ...] = PROMPT) -> Request:
    return Request(id, prompt, 1, embed=True)


def ask(engine: ThreadedEngine, answers: Answers, *requests: Request) -> list[Delta]:
    """The last delta of each."""
    with Gate(engine) as gate:  # they share their steps
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
def alone(running: tuple[ThreadedEngine, Answers]) -> tuple[float, ...]:
    """The vector of the prompt, computed in one step with nothing beside it."""
    engine, answers = running
    engine.reset()
    return ask(engine, answers, wanting("alone"))[0].embedding


def test_it_is_the_last_hidden_state_of_transformers(
    running: tuple[ThreadedEngine, Answers],
) -> None:
    """Of the last token, at length 1; the request ends with it, and no token was drawn."""
    with np.load(GOLDENS / "logits.npz") as file, np.load(GOLDENS / "hidden.npz") as states:
        ids, want = tuple(file["llama/ids"].tolist()), states["llama"][-1]
    engine, answers = running
    drawn = engine.load().generated_tokens
    (end,) = ask(engine, answers, wanting("golden", ids))

    assert np.allclose(end.embedding, want / np.linalg.norm(want), rtol=0, atol=1e-4)
    assert math.isclose(math.hypot(*end.embedding), 1, abs_tol=1e-6)
    assert answers.ends("golden") == [Finish.STOP]
    assert answers.tokens("golden") == []
    assert engine.load().generated_tokens == drawn
    assert engine.load().pages_used == 0


def test_it_is_the_same_in_any_batch(
    running: tuple[ThreadedEngine, Answers], alone: tuple[float, ...]
) -> None:
    """Law 1, beside another vector and answers, which go on as if it were not there."""
    engine, answers = running
    beside = [request(f"beside-{i}", other) for i, other in enumerate(OTHERS[:2])]
    engine.reset()
    got, another, *_ = ask(
        engine, answers, wanting("in a batch"), wanting("another", OTHERS[2]), *beside
    )
    engine.reset()
    (apart,) = ask(engine, answers, request("apart", OTHERS[0]))

    assert got.embedding == alone
    assert another.embedding != alone
    assert apart.finish is Finish.LENGTH
    assert answers.tokens("beside-0") == answers.tokens("apart")


def test_it_is_the_same_after_a_cached_beginning(
    running: tuple[ThreadedEngine, Answers], alone: tuple[float, ...]
) -> None:
    """Law 1; a prompt that was cached as a whole has its last page computed again."""
    engine, answers = running
    engine.reset()
    first, *_ = ask(engine, answers, wanting("first", PROMPT[:64]))
    again, longer = ask(engine, answers, wanting("again", PROMPT[:64]), wanting("longer"))

    assert first.cached_tokens == 0
    assert again.embedding == first.embedding
    assert again.cached_tokens == 48
    assert (longer.embedding, longer.cached_tokens) == (alone, 64)


@pytest.mark.parametrize("size", [4, 7, 33])
def test_it_is_the_same_however_its_prefill_is_cut(
    checkpoint: Path, alone: tuple[float, ...], size: int
) -> None:
    """Law 1."""
    config = replace(CONFIG, prefill_chunk_size=size)
    with running_engine(checkpoint, config) as (engine, answers):
        steps = engine.load().step
        (end,) = ask(engine, answers, wanting("cut"))

        assert engine.load().step - steps >= len(PROMPT) // size
        assert end.embedding == alone


def test_stages_hand_it_to_the_leader(checkpoint: Path, alone: tuple[float, ...]) -> None:
    """The last one has it; stages change no bit."""
    config = replace(CONFIG, pipeline_parallel_stages=2)
    with running_engine(checkpoint, config) as (engine, answers):
        (end,) = ask(engine, answers, wanting("staged"))

        assert end.embedding == alone


def test_shards_have_it_on_the_leader(checkpoint: Path, alone: tuple[float, ...]) -> None:
    """Sums in two parts round otherwise."""
    config = replace(CONFIG, tensor_parallel_shards=2)
    with running_engine(checkpoint, config) as (engine, answers):
        (end,) = ask(engine, answers, wanting("sharded"))

        assert np.allclose(end.embedding, alone, rtol=0, atol=1e-5)


def test_mlc_engines_have_embeddings(checkpoint: Path) -> None:
    """As OpenAI's client has them, in the order of the inputs; both engines alike."""
    arguments: dict[str, Any] = {"device": "cpu", "mode": "server", "engine_config": CONFIG}
    inputs = ["abc", "a much longer text", "abc"]

    async def ask_async() -> Any:
        async with AsyncMLCEngine(str(checkpoint), **arguments) as engine:
            return await engine.embeddings.create(input=inputs, encoding_format="base64")

    with MLCEngine(str(checkpoint), **arguments) as engine:
        found = engine.embeddings.create(input=inputs)
        short = engine.embeddings.create(input=engine.tokenizer.encode("abc"), dimensions=8)
        with pytest.raises(InvalidRequest, match="dimensions: must be at most 64, found 65"):
            engine.embeddings.create(input="abc", dimensions=65)
    asynchronous = asyncio.run(ask_async())

    assert [one.index for one in found.data] == [0, 1, 2]
    assert found.data[0].embedding == found.data[2].embedding != found.data[1].embedding
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (24, 24)
    assert np.allclose(
        short.data[0].embedding,
        np.array(found.data[0].embedding[:8]) / math.hypot(*found.data[0].embedding[:8]),
    )
    assert [one.values for one in asynchronous.data] == [one.values for one in found.data]
