"""What a rank has run."""

import numpy as np
import pytest

from raylax.kernels.model import StepBatch, StepOutput
from raylax.worker.ranks.rank_trace import RankTrace
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.outputs import saying


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def plan(number: int) -> StepPlan:
    none = np.zeros(0, np.int32)
    tokens, rows = np.zeros(5, np.int32), np.zeros(2, np.int32)
    return StepPlan(number, StepBatch(tokens, none, none, none, none, none, rows))


class Pending:
    """A device's step that is done."""

    is_last = is_done = True

    def output(self) -> StepOutput:
        raise NotImplementedError


class Done(Pending):
    def output(self) -> StepOutput:
        return saying(np.zeros(0, np.int32), 9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(trace: RankTrace) -> list[tuple[float, float, int]]:
    return [(one["ts"], one["dur"], one["args"]["step"]) for one in trace.events()]


def test_the_last_steps_are_kept(clock: Clock) -> None:
    """Those before are counted; a step has its time, tokens and meetings."""
    trace = RankTrace(2, clock)
    for number in range(4):
        clock.now = 10.0 + number
        trace.ran(plan(number), clock.now - 0.5, 7, 0.25)

    assert told(trace) == [(11.5e6, 0.5e6, 2), (12.5e6, 0.5e6, 3)]
    assert next(trace.events())["args"] == {
        "step": 2, "tokens": 5, "rows": 2, "meetings": 7, "meeting_us": 250_000.0,
    }  # fmt: skip
    assert trace.process(1).dropped == 2


def test_a_devices_step_lasts_until_its_output_is_there(clock: Clock) -> None:
    """However often somebody asks for that; one that failed is no step. What was given to it
    meanwhile begins then."""
    trace = RankTrace(9, clock)
    done, broken = (trace.submitted(plan(n), one()) for n, one in enumerate([Done, Pending]))
    clock.now = 11.0
    behind = trace.submitted(plan(2), Done())
    clock.now = 12.0
    done.output()
    clock.now = 13.0
    done.output()
    with pytest.raises(NotImplementedError):
        broken.output()

    behind.output()

    assert told(trace) == [(10e6, 2e6, 0), (12e6, 1e6, 2)]
    assert done.is_last and done.is_done
