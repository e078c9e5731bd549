"""A forked child inherits an engine without its threads: it is told so, and harms no parent."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raylax.worker.api.mlc_engine import AsyncMLCEngine, MLCEngine
from tests.support.engines import TWO
from tests.support.forks import in_fork

ASK: dict[str, Any] = {"prompt": [5, 6, 7], "max_tokens": 4, "temperature": 0}
TOLD = "has none of its threads: make an engine in the child"


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[MLCEngine]:
    """Of two ranks, so that there are processes and shared memory to be spared."""
    with MLCEngine(str(checkpoint), "cpu", engine_config=TWO) as made:
        yield made


def asked(engine: MLCEngine) -> str:
    return str(engine.completions.create(**ASK).choices[0].text)


USES: dict[str, Callable[[MLCEngine], object]] = {
    "create": lambda engine: engine.completions.create(**ASK),
    "stream": lambda engine: engine.completions.create(**ASK, stream=True),
    "embed": lambda engine: engine.embeddings.create(input="a"),
    "reset": lambda engine: engine.reset(),
    "abort": lambda engine: engine.abort("cmpl-1"),
    "metrics": lambda engine: engine.metrics(),
    "debug": lambda engine: engine.debug_call_func_on_all_worker("raylax.debug.rank"),
}


@pytest.mark.parametrize("use", USES)
def test_a_use_in_a_fork_raises_at_once(engine: MLCEngine, use: str) -> None:
    said = in_fork(lambda: str(USES[use](engine)))

    assert said.startswith("raylax.worker.errors.EngineNotReady: this engine belongs to process")
    assert TOLD in said


def test_so_does_a_lock_that_was_held(engine: MLCEngine) -> None:
    """By a thread that the child does not have."""
    with engine._engine._commands._lock, engine.state._lock:
        said = in_fork(lambda: str(engine.completions.create(**ASK)))

    assert TOLD in said


def test_a_stream_that_was_begun_cannot_be_read_there(engine: MLCEngine) -> None:
    """And goes on in the parent, though the child has dropped it."""
    stream = engine.completions.create(**{**ASK, "max_tokens": 60}, stream=True)
    said = in_fork(lambda: str(list(stream)))
    text = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)

    assert TOLD in said
    assert len(text) >= len(asked(engine))


def test_a_stream_that_is_dropped_there_waits_for_nobody(engine: MLCEngine) -> None:
    """Though a thread that the child does not have holds a lock."""
    stream = engine.completions.create(**{**ASK, "max_tokens": 60}, stream=True)
    with engine._engine._commands._lock, engine.state._lock:
        said = in_fork(lambda: str(stream.close()))
    list(stream)

    assert said == "None"


def test_the_end_of_a_child_harms_no_parent(engine: MLCEngine) -> None:
    """Though it ends the engine as its owner would."""
    want = asked(engine)

    def end() -> str:
        with engine:
            pass
        engine.terminate()
        return "ended"

    assert in_fork(end) == "ended"
    assert asked(engine) == want


async def test_an_asynchronous_engine_raises_too(checkpoint: Path) -> None:
    async with AsyncMLCEngine(str(checkpoint), "cpu", engine_config=TWO) as engine:
        answer = await engine.completions.create(**ASK)
        stream = await engine.completions.create(**ASK, stream=True)

        def there(use: Callable[[], Any]) -> str:
            loop = asyncio.new_event_loop()
            asyncio._set_running_loop(None)
            return str(loop.run_until_complete(use()))

        assert TOLD in in_fork(lambda: there(lambda: engine.completions.create(**ASK)))
        assert TOLD in in_fork(lambda: there(lambda: anext(stream)))
        await stream.aclose()
        again = await engine.completions.create(**ASK)

    assert again.choices[0].text == answer.choices[0].text
