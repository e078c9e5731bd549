"""The threaded engine: its life, and what happens when something of it breaks.

How requests end is law 2: `tests/laws/test_every_request_ends.py`.
"""

import gc
import json
import os
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.errors import CompileError
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Delta, Fault, Finish, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError, EngineNotReady
from raylax.worker.ranks.executor import SingleRank
from tests.support.checkpoints import write_checkpoint
from tests.support.engines import (
    PATIENCE_S,
    Gate,
    asked_in_a_step,
    in_thread,
    queued,
    request,
    running_engine,
    until,
)

CONFIG = EngineConfig(max_num_sequence=2, max_single_sequence_length=128, max_waiting=8, threads=1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_complete_configuration_has_every_value(checkpoint: Path) -> None:
    """And an engine can be made from it."""
    with running_engine(checkpoint, CONFIG) as (engine, _):
        text = engine.get_complete_engine_config()
        values = json.loads(text)
        engine.reload(EngineConfig.from_json(text))
        again = engine.get_complete_engine_config()

    assert set(values) == {field.name for field in fields(EngineConfig)}
    assert [name for name, value in values.items() if value is None] == []
    assert (values["model"], values["mode"]) == (str(checkpoint), "server")
    assert (values["max_num_sequence"], values["max_single_sequence_length"]) == (2, 128)
    assert (values["quantization"], values["kv_dtype"]) == ("q0f32", "f32")
    assert again == text


def test_a_library_that_is_not_there_is_refused(checkpoint: Path) -> None:
    config = CONFIG.complete(model=str(checkpoint), mode="server", model_lib="/lib/step.so")
    with (
        running_engine(checkpoint, CONFIG) as (engine, _),
        pytest.raises(CompileError, match="model_lib /lib/step.so: there is no library"),
    ):
        engine.reload(config)


def test_create_request(checkpoint: Path) -> None:
    """By its essentials; it is a request like any other."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        made = engine.create_request("r", [5, 6], 3, Sampling(temperature=0.0))
        engine.add_request(made)
        answers.wait_for("r")

    assert made == request("r", [5, 6], 3)
    assert len(answers.tokens("r")) == 3


def test_deadlines_pass_for_who_runs_and_who_waits(checkpoint: Path) -> None:
    """The fault says so; a patient neighbour goes on."""
    clock = Clock()
    with running_engine(checkpoint, CONFIG, clock) as (engine, answers), Gate(engine) as gate:
        for id, deadline in (("runs", 5.0), ("patient", None), ("waits", 6.0)):
            engine.add_request(
                Request(id, (5, 6), 100, Sampling(temperature=0.0), deadline_s=deadline)
            )
        gate.let(2)
        answers.wait_for_tokens("runs", 1)
        clock.now += 7.0
        gate.let(2)
        answers.wait_for("runs", "waits")
        answers.wait_for_tokens("patient", 3)

        for id in ("runs", "waits"):
            last = answers.deltas[id][-1]
            assert (last.finish, last.fault) == (Finish.ERROR, Fault.DEADLINE)
            assert last.error == "the request's deadline has passed"
        assert answers.ends("patient") == []


def test_a_reload_that_fails_leaves_no_model_and_can_be_mended(checkpoint: Path) -> None:
    """Until then requests are refused, and what was running has ended."""
    good = CONFIG.complete(model=str(checkpoint), mode="server")
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        bad = good.complete(max_single_sequence_length=9999)
        with pytest.raises(ConfigError, match="the model's 512 positions, found 9999"):
            asked_in_a_step(
                engine, answers, request("before", [5], 100), lambda: engine.reload(bad)
            )
        answers.wait_for("before")
        with pytest.raises(WorkerUnavailable, match="no model is loaded"):
            engine.add_request(request("between", [5]))
        with pytest.raises(EngineNotReady, match="no model is loaded"):
            engine.get_complete_engine_config()
        load = engine.load()
        assert load.pages_free == load.pages_total > 0 == load.pages_cached == load.running
        engine.reload(good)
        engine.add_request(request("after", [5]))
        answers.wait_for("after")

    assert answers.ends("before") == [Finish.ABORT]
    assert answers.ends("after") == [Finish.LENGTH]


@pytest.mark.parametrize("wrong", [None, {}, "model", EngineConfig(), EngineConfig(mode="local")])
def test_a_reload_of_no_model_harms_nobody(checkpoint: Path, wrong: Any) -> None:
    """What runs goes on. Without a mode a model is loaded as a constructor would."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with pytest.raises(ConfigError, match="reload: needs an EngineConfig that names a model"):
            asked_in_a_step(
                engine, answers, request("running", [5], 20), lambda: engine.reload(wrong)
            )
        answers.wait_for("running")
        engine.reload(CONFIG.complete(model=str(checkpoint)))

        assert answers.ends("running") == [Finish.LENGTH]
        assert engine.config.mode == "local"


def test_a_request_checked_against_a_model_that_is_gone(checkpoint: Path) -> None:
    """Its token ids might be outside the new vocabulary: it ends as those that ran."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with Gate(engine) as gate:
            engine.add_request(request("running", [5], 100))
            gate.let(1)
            answers.wait_for_tokens("running", 1)
            good = CONFIG.complete(model=str(checkpoint), mode="server")
            until(lambda: gate.holds)
            reloading = in_thread(lambda: engine.reload(good))
            queued(engine, 1)
            engine.add_request(request("on its way", [5], 100))
        reloading.result(PATIENCE_S)
        answers.wait_for("running", "on its way")

    assert answers.ends("on its way") == [Finish.ABORT]
    assert answers.deltas["on its way"][0].token_ids == ()


def test_nobody_waits_for_an_engine_that_has_ended(checkpoint: Path) -> None:
    """Neither who asked before the end nor who asks after it."""
    asked: dict[str, Future[Any]] = {}
    with running_engine(checkpoint, CONFIG) as (engine, answers), Gate(engine) as gate:
        engine.add_request(request("running", [5], 100))
        gate.let(1)
        answers.wait_for_tokens("running", 1)
        good = CONFIG.complete(model=str(checkpoint), mode="server")
        until(lambda: gate.holds)
        asked["reset"] = in_thread(engine.reset)
        asked["reload"] = in_thread(lambda: engine.reload(good))
        asked["debug"] = in_thread(
            lambda: engine.debug_call_func_on_all_worker("raylax.debug.rank")
        )
        queued(engine, 3)
        engine.add_request(request("accepted", [5], 100))
        engine.exit_background_loop()

    for future in asked.values():
        assert isinstance(future.exception(PATIENCE_S), EngineNotReady)
    for late in (engine.reset, lambda: engine.reload(good)):
        with pytest.raises(EngineNotReady, match="terminated"):
            late()
    with pytest.raises(WorkerUnavailable, match="terminated"):
        engine.add_request(request("late", [5]))
    engine.abort_request("late")
    assert answers.ends("running") == answers.ends("accepted") == [Finish.ABORT]
    assert engine.load().pages_used == 0


def test_the_end_frees_the_model(checkpoint: Path) -> None:
    """Somebody may still hold the engine."""
    with running_engine(checkpoint, CONFIG) as (engine, _):
        executor = engine._slot.loaded().executor
        assert isinstance(executor, SingleRank)
        model = weakref.ref(executor.rank.model)
        del executor
    gc.collect()

    assert model() is None


def test_a_failure_outside_a_step_ends_everything_with_an_error(checkpoint: Path) -> None:
    """A bug of ours must not leave callers waiting: they are told, and the engine says so."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        with Gate(engine) as gate:
            for id in ("a", "b", "waits"):
                engine.add_request(request(id, [5], 100))
            gate.let(1)
            answers.wait_for_tokens("a", 1)
            engine._slot.loaded().batch.roster.pool = None  # type: ignore[assignment]
        answers.wait_for("a", "b", "waits")
        until(lambda: engine._commands.closed)
        with pytest.raises(WorkerUnavailable, match="the engine thread has failed: Attrib"):
            engine.add_request(request("late", [5]))
        with pytest.raises(EngineNotReady):
            engine.reset()

    assert engine.fault is not None and "AttributeError" in engine.fault
    for id in ("a", "b", "waits"):
        assert answers.ends(id) == [Finish.ERROR]
        assert "AttributeError" in (answers.deltas[id][-1].error or "")


def test_a_callback_that_fails_is_called_again(checkpoint: Path) -> None:
    """Its deltas are lost, the engine is not."""
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        hear = engine._outputs.on_step

        def failing(deltas: list[Delta], load: Load) -> None:
            if any(delta.token_ids for delta in deltas):
                engine._outputs.on_step = hear
                raise RuntimeError("on purpose")

        engine._outputs.on_step = failing
        engine.add_request(request("r", [5], 4))
        answers.wait_for("r")

    assert len(answers.tokens("r")) == 3


def test_a_step_that_does_not_return_is_noticed(checkpoint: Path) -> None:
    clock = Clock()
    with running_engine(checkpoint, CONFIG, clock) as (engine, _), Gate(engine):
        engine.add_request(request("r", [5]))
        until(lambda: engine._teller.status.busy_since is not None)
        assert engine.fault is None
        clock.now += 61.0
        assert engine.fault == "a step has been running for 61 s"


def cpu_seconds(tasks: Iterable[str]) -> float:
    """That these threads of ours have run."""
    stats = (Path(f"/proc/self/task/{task}/schedstat").read_text() for task in tasks)
    return sum(int(text.split()[0]) for text in stats) / 1e9


def test_an_engine_with_nothing_to_do_uses_no_cpu(checkpoint: Path) -> None:
    """Less than a hundredth of a core, TVM's threads included: nobody looks around for work."""
    before = set(os.listdir("/proc/self/task"))
    with running_engine(checkpoint, CONFIG.complete(threads=2)) as (engine, answers):
        engine.add_request(request("r", [5] * 20, 40))
        answers.wait_for("r")
        tasks = set(os.listdir("/proc/self/task")) - before
        begun, used = time.perf_counter(), cpu_seconds(tasks)
        time.sleep(0.5)
        idle = (cpu_seconds(tasks) - used) / (time.perf_counter() - begun)

    assert len(tasks) == 3
    assert used > 0
    assert idle < 0.01


def test_load_says_how_the_engine_stands(checkpoint: Path) -> None:
    """After its second step, which is as full as it may be."""
    full = CONFIG.complete(target_itl_ms=0)
    with running_engine(checkpoint, full) as (engine, answers), Gate(engine) as gate:
        engine.add_request(request("r0", [5] * 20, 100))
        until(lambda: gate.holds)
        for i in (1, 2):
            engine.add_request(request(f"r{i}", [5 + i] * 20, 100))
        gate.let(2)
        answers.wait_for_tokens("r1", 1)
        load = engine.load()

    assert (load.running, load.waiting, load.queued_tokens, load.step) == (2, 1, 20, 2)
    assert (load.pages_used, load.prompt_tokens, load.generated_tokens) == (4, 60, 3)
    assert load.kv_usage == 4 / load.pages_total


def test_another_model_can_be_loaded(checkpoint: Path, tmp_path: Path) -> None:
    """Of another family, and on more threads."""
    other = write_checkpoint(tmp_path / "other", "qwen2-linear-rope")
    with running_engine(checkpoint, CONFIG) as (engine, answers):
        engine.add_request(request("one", [5, 6, 7]))
        answers.wait_for("one")
        engine.reload(replace(CONFIG, threads=2).complete(model=str(other), mode="local"))
        engine.add_request(request("two", [5, 6, 7]))
        answers.wait_for("two")

        assert engine.config.model == str(other)
    assert answers.tokens("one") != answers.tokens("two")
