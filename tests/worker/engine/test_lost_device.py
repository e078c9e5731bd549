"""An engine whose device goes: others go on with its requests, and it is told which and why."""

from pathlib import Path

import pytest

from raylax.kernels.errors import DeviceError
from raylax.kernels.model import StepBatch, StepOutput
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.pages import names_of
from raylax.proto.vocabulary import Fault, Finish
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import DeviceLost
from raylax.worker.ranks.leader import RankGroup
from tests.support.engines import ONE, TWO, Gate, request, running_engine, until

ECC = DeviceError("CUDA: cudaStreamSynchronize: uncorrectable ECC error encountered (214)", 214)
FULL = DeviceError("CUDA: cudaMalloc: out of memory (2)", 2)
EVERYBODY = ("a", "b", "c", "d", "waits")


class Failing:
    """A model that raises, in as many of its next uses as it is told to."""

    def __init__(self, engine: ThreadedEngine) -> None:
        executor = engine._slot.loaded().executor
        self._model = executor.rank.model
        self._step, self._read = self._model.step, self._model.read_page
        self._model.step, self._model.read_page = self.step, self.read_page  # type: ignore[method-assign]
        self.left: list[DeviceError] = []

    def step(self, batch: StepBatch) -> StepOutput:
        if self.left:
            raise self.left.pop()
        return self._step(batch)

    def read_page(self, page: int) -> bytes:
        if self.left:
            raise self.left.pop()
        return self._read(page)


def test_everybodys_requests_are_others_to_go_on_with(checkpoint: Path) -> None:
    """Those that wait, too; no step is tried after it."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        model = Failing(engine)
        with Gate(engine) as gate:
            for id in EVERYBODY:
                engine.add_request(request(id, [5, 6], 100))
            gate.let(1)
            until(lambda: gate.holds)
            model.left = [ECC]
        answers.wait_for(*EVERYBODY)
        until(lambda: engine._commands.closed)
        with pytest.raises(WorkerUnavailable, match="cpu is lost: CUDA.*uncorrectable ECC"):
            engine.add_request(request("late", [5]))

    assert engine.fault is not None and "cpu is lost" in engine.fault
    for id in EVERYBODY:
        assert answers.ends(id) == [Finish.ERROR]
        assert answers.deltas[id][-1].fault is Fault.UNAVAILABLE


def test_memory_that_one_step_lacked_is_no_end(checkpoint: Path) -> None:
    """Who is alone in a step that fails so is to blame, and the next one is served."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        Failing(engine).left = [FULL]
        for id in ("large", "next"):
            engine.add_request(request(id, [5, 6]))
            answers.wait_for(id)

        assert engine.fault is None
    assert answers.deltas["large"][-1].fault is Fault.ENGINE
    assert answers.ends("next") == [Finish.LENGTH]


def test_memory_that_one_of_several_ranks_lacked_is_the_end(checkpoint: Path) -> None:
    """The others have done the step, or wait in it: what came next would meet it."""
    with running_engine(checkpoint, TWO) as (engine, answers):
        Failing(engine).left = [FULL]
        engine.add_request(request("r", [5, 6]))
        answers.wait_for("r")

        assert "out of memory" in (engine.fault or "")
    assert answers.deltas["r"][-1].fault is Fault.UNAVAILABLE


def test_a_device_that_goes_between_steps_is_a_fault_at_once(checkpoint: Path) -> None:
    """Pages were asked for, which no request waits for: nobody would notice otherwise."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        engine.add_request(request("r", list(range(5, 40))))
        answers.wait_for("r")
        names = list(names_of(tuple(range(5, 40))))
        Failing(engine).left = [ECC]
        with pytest.raises(DeviceLost):
            engine.read_pages(names)
        fault = engine.fault
        engine.add_request(request("after", [5, 6]))
        answers.wait_for("after")

    assert fault is not None and "cpu is lost" in fault
    assert answers.deltas["after"][-1].fault is Fault.UNAVAILABLE


def test_what_somebody_else_has_noticed_ends_it_too(checkpoint: Path) -> None:
    """While a step runs, which may be waiting for that device, the fault is already there; telling
    it twice is no more than once."""
    why = DeviceLost("GPU-1 is lost: Xid 79")
    with running_engine(checkpoint, ONE) as (engine, answers):
        with Gate(engine) as gate:
            engine.add_request(request("runs", [5, 6], 100))
            until(lambda: gate.holds)
            engine.lose_device(why)
            engine.lose_device(why)
            assert engine.fault == str(why)
        answers.wait_for("runs")
        until(lambda: engine._commands.closed)

    assert answers.deltas["runs"][-1].fault is Fault.UNAVAILABLE
    assert answers.ends("runs") == [Finish.ERROR]


def test_the_other_ranks_end_with_it(checkpoint: Path) -> None:
    """They wait for it in the very step."""
    with running_engine(checkpoint, TWO) as (engine, answers):
        executor = engine._slot.loaded().executor
        assert isinstance(executor, RankGroup)
        Failing(engine).left = [ECC]
        engine.add_request(request("r", [5, 6]))
        answers.wait_for("r")
        until(lambda: not any(member.process.alive for member in executor.members))

    assert engine.fault is not None and "cpu is lost" in engine.fault
    assert answers.deltas["r"][-1].fault is Fault.UNAVAILABLE
