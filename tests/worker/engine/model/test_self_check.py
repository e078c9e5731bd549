"""Whose fault it is that a request has no answer is found by computing what had one."""

from pathlib import Path

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Fault, Finish
from raylax.worker.engine.model.self_check import EVERY_S
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.damage import damage
from tests.support.engines import ONE, Gate, request, running_engine, until
from tests.support.poisonous import POISON, write_poisonous


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def runs_of(engine: ThreadedEngine) -> list[int]:
    """The numbers of the steps that the ranks run from now on; a check has 0."""
    model, numbers = engine._slot.loaded(), list[int]()
    executor, batch = model.executor, model.batch
    run = executor.run

    def noted(plan: StepPlan) -> StepOutput:
        numbers.append(plan.number)
        return run(plan)

    executor.run = batch.run = noted  # type: ignore[method-assign]
    return numbers


@pytest.mark.parametrize("weight", ["norm_f", "w_down", "w_qkv"])
def test_a_model_whose_memory_goes_bad_breaks_its_engine(checkpoint: Path, weight: str) -> None:
    """Its requests are others' to answer, those that wait as well, and the reason is told."""
    with running_engine(checkpoint, ONE) as (engine, answers):
        engine.add_request(request("before", [5, 6]))
        answers.wait_for("before")
        with Gate(engine) as gate:
            for id in ("a", "b", "c", "d", "waits"):
                engine.add_request(request(id, [5, 6], 100))
            gate.let(1)
            until(lambda: gate.holds)
            damage(engine, weight)
        answers.wait_for("a", "b", "c", "d", "waits")
        until(lambda: engine._commands.closed)
        with pytest.raises(WorkerUnavailable, match="weights in the memory .* are damaged"):
            engine.add_request(request("late", [5]))

    assert engine.fault is not None
    assert "the logits of token 0 were finite when the model was loaded" in engine.fault
    for id in ("a", "b", "c", "d", "waits"):
        assert answers.ends(id) == [Finish.ERROR]
        assert answers.deltas[id][-1].fault is Fault.UNAVAILABLE


def test_requests_without_an_answer_do_not_break_a_sound_engine(tmp_path: Path) -> None:
    """However many come; it looks at itself at most once in a while."""
    clock = Clock()
    with running_engine(write_poisonous(tmp_path / "model"), ONE, clock) as (engine, answers):
        runs = runs_of(engine)
        for turn in range(3):
            for id in (f"{turn}a", f"{turn}b"):
                engine.add_request(request(id, [5, POISON]))
                answers.wait_for(id)
            clock.now += EVERY_S
        engine.add_request(request("good", [5, 6]))
        answers.wait_for("good")

    assert engine.fault is None
    assert answers.ends("good") == [Finish.LENGTH]
    assert answers.deltas["2b"][-1].fault is Fault.REQUEST
    assert runs.count(0) == 4


def test_damage_between_two_looks_is_found_by_the_next(checkpoint: Path) -> None:
    """Whoever has no answer before the time has come is told so; then the engine breaks."""
    clock = Clock()
    with running_engine(checkpoint, ONE, clock) as (engine, answers):
        engine._slot.loaded().self_check._next = clock.now + EVERY_S
        damage(engine, "norm_f")
        engine.add_request(request("early", [5, 6]))
        answers.wait_for("early")
        clock.now += EVERY_S
        engine.add_request(request("later", [5, 6]))
        answers.wait_for("later")

    assert answers.deltas["early"][-1].fault is Fault.REQUEST
    assert answers.deltas["later"][-1].fault is Fault.UNAVAILABLE
