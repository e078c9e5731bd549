"""AsyncMLCEngine: the same engine for an event loop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from raylax import AsyncMLCEngine, EngineConfig, MLCEngine
from raylax.proto.errors import InvalidRequest
from tests.support.engines import PATIENCE_S, Gate, until

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)
ASK: dict[str, Any] = {"prompt": "abc", "temperature": 0, "max_tokens": 12, "ignore_eos": True}
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def engine(checkpoint: Path) -> AsyncIterator[AsyncMLCEngine]:
    async with (
        AsyncMLCEngine(str(checkpoint), engine_config=CONFIG) as made,
        asyncio.timeout(PATIENCE_S),
    ):
        yield made
        assert len(made.state) == 0


def test_it_says_what_the_synchronous_one_says(checkpoint: Path) -> None:
    """Whole and streamed, chat and completion."""

    async def ask() -> tuple[Any, ...]:
        async with AsyncMLCEngine(str(checkpoint), engine_config=CONFIG) as engine:
            plain = await engine.completions.create(**ASK)
            chat = await engine.chat.completions.create(messages=MESSAGES, temperature=0)
            stream = await engine.completions.create(**ASK, stream=True)
            texts = [chunk.choices[0].text async for chunk in stream]
            chunks = [
                chunk
                async for chunk in await engine.chat.completions.create(
                    messages=MESSAGES, temperature=0, stream=True
                )
            ]
            deltas = [chunk.choices[0].delta.content or "" for chunk in chunks]
            return plain.choices, chat.choices, "".join(texts), "".join(deltas)

    plain, chat, text, said = asyncio.run(ask())
    with MLCEngine(str(checkpoint), engine_config=CONFIG) as twin:
        assert twin.completions.create(**ASK).choices == plain
        assert twin.chat.completions.create(messages=MESSAGES, temperature=0).choices == chat
    assert (text, said) == (plain[0].text, chat[0].message.content)


async def test_many_calls_at_once(engine: AsyncMLCEngine) -> None:
    prompts = [f"{i} and more" for i in range(12)]
    alone = [await engine.completions.create(**{**ASK, "prompt": p}) for p in prompts]
    together = await asyncio.gather(
        *(engine.completions.create(**{**ASK, "prompt": p}) for p in prompts)
    )

    assert [one.choices[0].text for one in together] == [one.choices[0].text for one in alone]


async def test_a_call_that_is_cancelled_is_aborted(engine: AsyncMLCEngine) -> None:
    """Its pages come back, and nothing is heard of it any more."""
    with Gate(engine._engine) as gate:
        asking = asyncio.create_task(engine.completions.create(**{**ASK, "max_tokens": 100}))
        await asyncio.to_thread(until, lambda: len(engine.state))
        gate.let(2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(engine.state) == 0
    await asyncio.to_thread(until, lambda: engine._engine.load().pages_used == 0)


@pytest.mark.parametrize("read", [0, 1])
async def test_a_stream_that_is_dropped_ends_its_call(engine: AsyncMLCEngine, read: int) -> None:
    stream = await engine.completions.create(**{**ASK, "max_tokens": 100}, stream=True)
    for _ in range(read):
        await anext(stream)
    del stream
    await asyncio.to_thread(until, lambda: not len(engine.state))


async def test_abort_reset_and_metrics(engine: AsyncMLCEngine) -> None:
    """The loop goes on while they wait for the engine."""
    with Gate(engine._engine) as gate:
        stream = await engine.completions.create(**{**ASK, "max_tokens": 100}, stream=True)
        gate.let(1)
        first = await anext(stream)
        await engine.abort(first.id)
    aborted = [chunk async for chunk in stream]
    with Gate(engine._engine) as gate:
        stream = await engine.completions.create(**{**ASK, "max_tokens": 100}, stream=True)
        gate.let(1)
        await anext(stream)
        await asyncio.to_thread(until, lambda: gate.holds)
        resetting = asyncio.create_task(engine.reset())
        await asyncio.sleep(0)
        assert not resetting.done()
    await resetting
    reset = [chunk async for chunk in stream]

    assert aborted[-1].choices[0].finish_reason == "abort"
    assert reset[-1].choices[0].finish_reason == "abort"
    assert (await engine.metrics())["pages_free"] == (await engine.metrics())["pages_total"]


async def test_what_the_engine_has_done_can_be_asked_for(engine: AsyncMLCEngine) -> None:
    await engine.completions.create(**ASK)
    stream = await engine.chat.completions.create(
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        debug_config={"special_request": "query_engine_metrics"},
    )
    (chunk,) = [chunk async for chunk in stream]

    assert chunk.usage.extra["completion_tokens_sum"] == 12
    assert chunk.usage.extra == {name: (await engine.metrics())[name] for name in chunk.usage.extra}


async def test_a_mistake_is_explained(engine: AsyncMLCEngine) -> None:
    with pytest.raises(InvalidRequest, match="promp: unknown field"):
        await engine.completions.create(prompt="abc", promp=5)


def test_a_loop_that_ends_in_the_middle_harms_nobody(checkpoint: Path) -> None:
    """Another loop asks the same engine afterwards."""
    engine = AsyncMLCEngine(str(checkpoint), engine_config=CONFIG)

    async def leave() -> None:
        stream = await engine.completions.create(**{**ASK, "max_tokens": 100}, stream=True)
        await anext(stream)

    async def stay() -> Any:
        return await engine.completions.create(**ASK)

    asyncio.run(leave())
    answer = asyncio.run(stay())
    engine.terminate()

    assert len(answer.choices[0].text) == 12
