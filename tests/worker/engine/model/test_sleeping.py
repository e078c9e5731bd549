"""An engine that gives its model's memory back for a while, and is afterwards what it was."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylax import AsyncMLCEngine, EngineConfig, MLCEngine, SyncMLCEngine
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Finish
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import ConfigError, EngineNotReady
from tests.support.engines import ONE, TWO, Answers, asked_in_a_step, request, running_engine

PROMPT = [5, 6, 7, 8, 9] * 8
Running = tuple[ThreadedEngine, Answers]


@pytest.fixture
def running(checkpoint: Path) -> Iterator[Running]:
    with running_engine(checkpoint, ONE) as running:
        yield running


def mapped() -> int:
    """How many pieces of packed weights are in this process's memory."""
    gc.collect()  # those of engines that are gone
    return Path("/proc/self/maps").read_text().count("weights.bin")


def asked(running: Running, id: str) -> list[int]:
    engine, answers = running
    engine.add_request(request(id, PROMPT))
    answers.wait_for(id)
    return answers.tokens(id)


@pytest.mark.parametrize("level", [1, 2])
def test_its_memory_is_given_back_and_had_again(running: Running, level: int) -> None:
    """With the same sizes, the same tokens, and nothing of the prefix cache."""
    engine, answers = running
    before, config = asked(running, "before"), engine.get_complete_engine_config()
    awake = mapped()
    assert engine.sleep_level == 0 and engine.load().pages_cached > 0
    engine.sleep(level)
    assert mapped() < awake and engine.sleep_level == level
    assert engine.load().pages_cached == 0 and engine.fault is None
    engine.wake_up()

    assert mapped() == awake and engine.sleep_level == 0
    assert engine.get_complete_engine_config() == config
    assert asked(running, "after") == before
    assert max(delta.cached_tokens for delta in answers.deltas["after"]) == 0


def test_meanwhile_nobody_is_served(running: Running) -> None:
    """Who runs is aborted, and who comes is told what to do."""
    engine, answers = running
    asked_in_a_step(engine, answers, request("long", PROMPT, 80), engine.sleep)

    assert answers.ends("long") == [Finish.ABORT]
    said = r"^the engine is asleep \(level 1\): wake_up\(\) first$"
    with pytest.raises(WorkerUnavailable, match=said):
        engine.add_request(request("now", PROMPT))
    assert engine.config.max_num_sequence == 4  # as it will be
    with pytest.raises(EngineNotReady, match=said):
        engine.read_pages([])
    engine.wake_up()
    assert len(asked(running, "then")) == 12


def test_a_model_is_unloaded_and_another_one_loaded(running: Running, checkpoint: Path) -> None:
    """In between there is none."""
    engine, answers = running
    awake = mapped()
    asked_in_a_step(engine, answers, request("long", PROMPT, 80), engine.unload)
    engine.unload()
    assert answers.ends("long") == [Finish.ABORT] and mapped() < awake
    for ask in (lambda: engine.config, engine.sleep, engine.wake_up):
        with pytest.raises(EngineNotReady, match="no model is loaded"):
            ask()
    with pytest.raises(WorkerUnavailable, match="no model is loaded"):
        engine.add_request(request("now", PROMPT))
    engine.reload(ONE.complete(model=str(checkpoint), mode="server"))

    assert len(asked(running, "then")) == 12


def test_it_sleeps_deeper_and_wakes_up_once(running: Running) -> None:
    engine, _ = running
    engine.wake_up()
    levels = []
    for level in (1, 2, 1):
        engine.sleep(level)
        levels.append(engine.sleep_level)
    for _ in range(2):
        engine.wake_up()
        levels.append(engine.sleep_level)

    assert levels == [1, 2, 2, 0, 0]


@pytest.mark.parametrize("level", [0, 3, "1", True, None])
def test_what_is_no_level_is_refused(running: Running, level: int) -> None:
    with pytest.raises(ConfigError, match=r"level must be 1 \(weights off the device\) or 2 \(all"):
        running[0].sleep(level)

    assert len(asked(running, "one")) == 12


def test_what_cannot_be_woken_stays_asleep(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it can."""
    engine, _ = running
    engine.sleep()
    with monkeypatch.context() as patch:
        patch.setattr("raylax.worker.ranks.loading.total_memory", lambda: 1 << 20)
        with pytest.raises(ConfigError, match="the model is too large|must be at most"):
            engine.wake_up()
    assert engine.sleep_level == 1
    engine.wake_up()

    assert len(asked(running, "one")) == 12


def test_another_model_may_be_loaded_instead(running: Running, checkpoint: Path) -> None:
    engine, _ = running
    engine.sleep(2)
    engine.reload(ONE.complete(model=str(checkpoint), mode="server", max_num_sequence=2))

    assert engine.sleep_level == 0 and engine.config.max_num_sequence == 2


def test_of_several_ranks_all_sleep(checkpoint: Path) -> None:
    """Their processes end, and others come."""
    with running_engine(checkpoint, TWO) as running:
        before, engine = asked(running, "before"), running[0]
        engine.sleep()
        assert engine.shards == []
        engine.wake_up()

        assert asked(running, "after") == before and len(engine.shards) == 1


def test_the_three_engines_sleep(checkpoint: Path) -> None:
    config = EngineConfig(max_num_sequence=2, max_single_sequence_length=64, threads=1)

    async def asynchronous() -> list[bool]:
        async with AsyncMLCEngine(checkpoint, "cpu", engine_config=config) as engine:
            await engine.sleep()
            asleep = engine.is_sleeping
            await engine.wake_up()
            await engine.completions.create(prompt=PROMPT, max_tokens=2)
            return [asleep, engine.is_sleeping]

    assert asyncio.run(asynchronous()) == [True, False]
    with MLCEngine(checkpoint, "cpu", engine_config=config) as engine:
        engine.sleep(2)
        assert engine.is_sleeping
        with pytest.raises(WorkerUnavailable, match="asleep"):
            engine.completions.create(prompt=PROMPT, max_tokens=2)
        engine.wake_up()
        engine.completions.create(prompt=PROMPT, max_tokens=2)
    with SyncMLCEngine(checkpoint, "cpu", engine_config=config) as stepped:
        stepped.sleep()
        with pytest.raises(WorkerUnavailable, match="asleep"):
            stepped.generate(PROMPT)
        stepped.wake_up()
        assert stepped.generate(PROMPT)[0][0]


def test_without_a_model_there_is_none_to_sleep() -> None:
    nothing = ThreadedEngine()
    with pytest.raises(EngineNotReady, match="no model is loaded"):
        nothing._operations.sleep(1)
    with pytest.raises(EngineNotReady, match="no model is loaded"):
        nothing._operations.wake_up()
