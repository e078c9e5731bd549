"""A step between its decision and its commit, and who hears of it, for traces."""

from collections import abc
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

from raylax.kernels.model import PendingStep
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.scheduling.branches import Branch
from raylax.worker.scheduling.pace.prefill_time import NO_PAST, Past, pairs
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
    past: Past = NO_PAST
    """Of its prefills."""

    @property
    def only_decodes(self) -> bool:
        """It has no prefill."""
        return not self.work[0]

    def left(self, running: abc.Mapping[str, Sequence]) -> list[Sequence]:
        """Its sequences that are still there."""
        return [one for one, _, _ in self.batch if running.get(one.request.id) is one]


def work_of(batch: list[Work], branched: int = 0) -> tuple[int, int, int]:
    """What a step computes, as `StepTimeModel` wants to know it: tokens of prefills, rows of those
    that decode and of so many tokens in branches, and tokens in the pages of those."""
    decodes = [(one.computed, count) for one, count, _ in batch if one.phase is DECODE]
    rows, context = sum([count for _, count in decodes]), sum([length for length, _ in decodes])
    return sum([count for _, count, _ in batch]) - rows, rows + branched, context


def past_of(batch: list[Work]) -> Past:
    """What stands before the tokens of its prefills, as `StepTimeModel` wants to know it."""
    prefills = [(count, one.computed) for one, count, _ in batch if one.phase is not DECODE]
    looks = sum([pairs(count, before) for count, before in prefills])
    return Past(looks, sum([before for _, before in prefills]))


class StepTrace(Protocol):
    """Is told what happens, on the engine thread. Must not raise, and changes nothing."""

    def begin(self) -> None:
        """A step begins."""
        ...

    def mark(self, part: str) -> None:
        """This part of it ends: the next one begins."""
        ...

    def admitted(self, one: Sequence) -> None:
        """It has left the queue, with what was found of its beginning."""
        ...

    def preempted(self, one: Sequence) -> None:
        """It gives its pages back, and waits again."""
        ...

    def drew(self, flight: Flight, drawn: Mapping[str, Several[DrawResult]]) -> None:
        """A step was run and drawn, and is committed next: a part of it ends."""
        ...

    def committed(self, flight: Flight, evicted: int) -> None:
        """A step ends; `evicted`: cached pages that made room since the start."""
        ...


class Untraced:
    """Nobody wants to know."""

    def begin(self) -> None:
        pass

    def mark(self, part: str) -> None:
        pass

    def admitted(self, one: Sequence) -> None:
        pass

    def preempted(self, one: Sequence) -> None:
        pass

    def drew(self, flight: Flight, drawn: Mapping[str, Several[DrawResult]]) -> None:
        pass

    def committed(self, flight: Flight, evicted: int) -> None:
        pass
