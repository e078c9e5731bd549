"""One rank: weights and pages, and the step plans it is given. It keeps no other state (law 4), but
for what a device drew last, which the next plan may take."""

import os
from typing import Any, NamedTuple, Self, cast

import numpy as np

from raylax.kernels.model import (
    MeetingModel,
    Model,
    PendingStep,
    StagedModel,
    StepOutput,
    SubmittingModel,
)
from raylax.worker.comm.base import Communicator
from raylax.worker.ranks.rank_trace import RankTrace
from raylax.worker.scheduling.step_plan import StepPlan

LEADER = 0


class RankPosition(NamedTuple):
    """How far a rank is: which step it is in, and how often it met the other shards there."""

    step: int = 0
    meeting: int | None = None
    """None: there are no others, or nothing is known."""
    running: bool = False


class Rank:
    """Runs step plans on its part of the model. Only the engine thread may call `run`: TVM's thread
    pool belongs to a thread."""

    def __init__(
        self, model: Model, group: Communicator | None = None, stage: "Stage | None" = None
    ) -> None:
        """`group`: all ranks, None for a single one. `stage`: how plans are run where the layers
        are shared among several stages."""
        self.model, self.group, self._stage = model, group, stage
        self.index, self.world_size = model.place.rank, model.options.degree.ranks
        self.plan: StepPlan | None = None
        """The last one that was run."""
        self.trace: RankTrace | None = None
        """What it has run; None: nobody wants to know."""
        self._running, self._meetings_before = False, 0
        shares = model.options.degree.tensor > 1
        self._meets = model if shares and isinstance(model, MeetingModel) else None

    @classmethod
    def of_several(cls, model: Model, group: Communicator) -> Self:
        """A rank that shares its model with the others of the group."""
        staged = model.options.degree.pipeline > 1
        return cls(model, group, Stage(cast(StagedModel, model), group) if staged else None)

    def run(self, plan: StepPlan) -> StepOutput | None:
        """Run a step: its output, or None on a rank that does not sample.

        Raises CommError, or returns what must not be used, when the ranks cannot go on.
        """
        self.plan, self._running, self._meetings_before = plan, True, self._meetings()
        begun = 0.0 if self.trace is None else self.trace.clock()
        output = self._run(plan)
        self._running = False
        if self.trace is not None:
            met = self._meetings() - self._meetings_before
            self.trace.ran(plan, begun, met, self._meets.meeting_s() if self._meets else 0.0)
        return output

    @property
    def submits(self) -> bool:
        """Whether `submit` may be called: where a device does its steps."""
        return isinstance(self.model, SubmittingModel)

    def submit(self, plan: StepPlan) -> PendingStep:
        """Give a step to the device, which has it until `rest`. Raises DeviceError, CommError."""
        assert isinstance(self.model, SubmittingModel)
        self.plan, self._running = plan, True
        pending = self.model.submit(plan.batch)
        return pending if self.trace is None else self.trace.submitted(plan, pending)

    def rest(self) -> None:
        """No step is under way any more."""
        self._running = False

    def _run(self, plan: StepPlan) -> StepOutput | None:
        if self._stage is None:
            return self.model.step(plan.batch)
        return self._stage.run(plan)

    def position(self, shard: int | None = None) -> RankPosition:
        """How far this rank is, or another shard of its stage, as far as that can be seen from
        here. Any thread may ask."""
        step = self.plan.number if self.plan else 0
        if self._flags is None:
            own = shard in (None, self.model.place.shard)
            return RankPosition(step, None, self._running) if own else RankPosition()
        met = self._meetings(shard) - self._meetings_before
        return RankPosition(step, max(0, met), self._running)

    @property
    def _flags(self) -> Any:
        return self.model.seat.shared.get("flags")

    def _meetings(self, shard: int | None = None) -> int:
        """How often a shard of this stage, this one by default, has met the others since the
        start."""
        at = self.model.place.shard if shard is None else shard
        return 0 if self._flags is None else int(self._flags[at, 0])

    def describe(self) -> dict[str, Any]:
        """What `raylax.debug.rank` answers."""
        place = self.model.place
        return {
            "rank": self.index,
            "world_size": self.world_size,
            "stage": place.stage,
            "shard": place.shard,
            "pid": os.getpid(),
            "device": self.model.options.device,
            "vocab": self.model.spec.tokens,
        }


class Stage:
    """One of several stages of layers. A plan goes through them in pieces, so that a stage works on
    one while the next stage works on the one before. Everything flows one way: what the last stage
    comes to is sent to the leader when no piece is on its way any more."""

    def __init__(self, model: StagedModel, group: Communicator) -> None:
        self.model, self.group, degree = model, group, model.options.degree
        self.stages, self.shards = degree.pipeline, degree.tensor
        self.place, self.last = model.place, model.place.stage == degree.pipeline - 1
        self.source = (degree.pipeline - 1) * degree.tensor
        """The rank that has the output of the last stage."""

    def run(self, plan: StepPlan) -> StepOutput | None:
        outputs = [self._compute(piece) for piece in plan.pieces(self.stages)]
        if self.place.rank == self.source:
            for parts in zip(*outputs, strict=True):
                self.group.send(np.concatenate(parts), LEADER)
        if self.place.rank != LEADER:
            return None
        count, spec = len(plan.batch.rows), self.model.spec
        output = StepOutput(
            np.empty((count, spec.vocab), np.float32),
            np.empty(count, np.int32),
            np.empty((count, spec.hidden), np.float32),
            np.empty(count, np.float32),
        )
        for values in output:
            self.group.recv(values, self.source)
        return output

    def _compute(self, piece: StepPlan) -> StepOutput:
        rows, hidden = piece.batch.rows, self.model.hidden(len(piece.batch.tokens))
        if self.place.stage:
            self.group.recv(hidden, self.place.rank - self.shards)
        self.model.run_layers(piece.batch)
        if not self.last:
            self.group.send(hidden, self.place.rank + self.shards)
            rows = rows[:0]
        output = self.model.run_head(rows)
        return kept(output)


def kept(output: StepOutput) -> StepOutput:
    """A copy, which stays when the next piece runs."""
    logits, drawn, hidden, largest = output
    return StepOutput(logits.copy(), drawn.copy(), hidden.copy(), largest.copy())
