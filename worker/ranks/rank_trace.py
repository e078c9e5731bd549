"""What one rank has run, and when: kept in its process, and told when somebody asks."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from raylax.kernels.model import PendingStep, StepOutput
from raylax.proto.event_trace import Event, ProcessTrace, complete, micros
from raylax.worker.event_ring import MOST_EVENTS, EventRing
from raylax.worker.scheduling.step_plan import StepPlan

LANE = 1


class TracedStep:
    """A step that a device was given, which is told when its output is there."""

    def __init__(self, pending: PendingStep, tell: Callable[[], None]) -> None:
        self._pending, self._tell = pending, tell
        self._told = False

    @property
    def is_last(self) -> bool:
        return self._pending.is_last

    @property
    def is_done(self) -> bool:
        return self._pending.is_done

    def output(self) -> StepOutput:
        output = self._pending.output()
        if not self._told:
            self._told = True
            self._tell()
        return output


class RankTrace:
    """The last steps of a rank. The thread that runs them adds."""

    def __init__(
        self, most: int = MOST_EVENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock, self._ring, self._ended = clock, EventRing(most), 0.0

    def ran(self, plan: StepPlan, begun: float, meetings: int = 0, meeting_s: float = 0.0) -> None:
        """A step has ended, in which the rank met the others so often, and spent so long with that.
        It did not begin before the one before it had ended, though a device was given it."""
        begun, self._ended = max(begun, self._ended), self.clock()
        tokens, rows = len(plan.batch.tokens), len(plan.batch.rows)
        met = (meetings, meeting_s)
        self._ring.add((plan.number, tokens, rows, begun, self._ended, *met))

    def submitted(self, plan: StepPlan, pending: PendingStep) -> PendingStep:
        """A device was given a step."""
        begun = self.clock()
        return TracedStep(pending, lambda: self.ran(plan, begun))

    @property
    def dropped(self) -> int:
        """Steps that are not known any more."""
        return self._ring.dropped

    def events(self, lane: int = LANE) -> Iterator[Event]:
        """A step each, on this lane."""
        for number, tokens, rows, begun, ended, meetings, meeting_s in self._ring.events:
            args: dict[str, Any] = {"step": number, "tokens": tokens, "rows": rows}
            met = {"meetings": meetings, "meeting_us": micros(meeting_s)} if meetings else {}
            yield complete("run", lane, begun, ended, args | met)

    def process(self, rank: int) -> ProcessTrace:
        """All that this process has to say."""
        name = f"rank {rank}"
        lanes = {str(LANE): name}
        return ProcessTrace.of_this_process(
            name, self.events(), lanes, self.dropped, self._ring.most
        )
