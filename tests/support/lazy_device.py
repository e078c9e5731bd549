"""A device that does its steps as late as it may: when somebody waits for one, in their order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raylax.kernels.model import StepOutput
from raylax.worker.scheduling.step_plan import StepPlan


@dataclass(eq=False)
class LazyStep:
    """A step that it was given."""

    device: "LazyDevice"
    plan: StepPlan
    result: StepOutput | Exception | None = None

    @property
    def is_last(self) -> bool:
        return self.device.given[-1] is self

    @property
    def is_done(self) -> bool:
        return self.result is not None

    def output(self) -> StepOutput:
        self.device.waits(self)
        assert len(self.device.given) - self.device.given.index(self) <= 2, "its place was taken"
        if isinstance(self.result, Exception):
            raise self.result
        assert self.result is not None
        return self.result


class LazyDevice:
    """Does steps by a function; `-1 - r` is the token that row r of the step before drew."""

    def __init__(self, run: Callable[[StepPlan], StepOutput]) -> None:
        self.run = run
        self.given: list[LazyStep] = []
        self.done = 0
        self.waited: list[list[int]] = []
        """At each wait: the numbers of the steps that were given and not done."""

    def submit(self, plan: StepPlan) -> LazyStep:
        self.given.append(LazyStep(self, plan))
        return self.given[-1]

    def waits(self, step: LazyStep) -> None:
        """Everything up to this step is done when it returns."""
        self.waited.append([one.plan.number for one in self.given[self.done :]])
        while self.done <= self.given.index(step):
            one = self.given[self.done]
            try:
                one.result = self.run(self._with_ids(one.plan))
            except Exception as error:
                one.result = error
            self.done += 1

    def _with_ids(self, plan: StepPlan) -> StepPlan:
        tokens = plan.batch.tokens
        if (tokens >= 0).all():
            return plan
        before = self.given[self.done - 1].result
        drawn = before.drawn if isinstance(before, StepOutput) else np.zeros(999, np.int32)
        known = np.where(tokens < 0, drawn[-1 - np.minimum(tokens, -1)], tokens)
        return StepPlan(plan.number, plan.batch._replace(tokens=known.astype(np.int32)))
