"""A step between its decision and its commit."""

from collections import abc
from dataclasses import dataclass, field

from raylax.kernels.model import PendingStep
from raylax.worker.scheduling.branches import Branch
from raylax.worker.scheduling.sequence import DECODE, Sequence
from raylax.worker.scheduling.step_plan import StepPlan, Work


@dataclass(slots=True)
class Flight:
    """What it computes, for whom, and since when."""

    plan: StepPlan
    batch: list[Work]
    work: tuple[int, int, int]
    """As `work_of` has it."""
    begun: float
    short: bool = False
    pending: PendingStep | None = None
    """The device is at it, or will be."""
    branches: list[Branch] = field(default_factory=list)
    """What the plan has behind the batch."""

    def left(self, running: abc.Mapping[str, Sequence]) -> list[Sequence]:
        """Its sequences that are still there."""
        return [one for one, _, _ in self.batch if running.get(one.request.id) is one]


def work_of(batch: list[Work], branched: int = 0) -> tuple[int, int, int]:
    """What a step computes, as `StepTimeModel` wants to know it: tokens of prefills, rows of those
    that decode and of so many tokens in branches, and tokens in the pages of those."""
    decodes = [(one.computed, count) for one, count, _ in batch if one.phase is DECODE]
    rows, context = sum([count for _, count in decodes]), sum([length for length, _ in decodes])
    return sum([count for _, count, _ in batch]) - rows, rows + branched, context
