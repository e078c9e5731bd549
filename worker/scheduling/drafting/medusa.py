"""Heads that each say one token more, from what the model has computed of the last one
(https://arxiv.org/abs/2401.10774). They read nothing else, and have no pages."""

import time
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from raylax.kernels.heads.medusa import MedusaOutput
from raylax.kernels.model import Floats, StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.decision.step_time import StepTimeModel
from raylax.worker.scheduling.drafting.base import Seen, likely_tokens, others, proposal_of
from raylax.worker.scheduling.sequence import Sequence


class Heads(Protocol):
    """As `raylax.kernels.heads.medusa.MedusaHead` is."""

    heads: int

    def step(self, hidden: Floats) -> MedusaOutput:
        """What each says of rows that the model makes its logits of."""
        ...


@dataclass
class MedusaDrafter:
    """Drafts at most as many tokens as there are heads, all of them in one step."""

    heads: Heads
    sampler: Sampler
    clock: Callable[[], float] = time.perf_counter
    width: int = 1
    """Tokens that are proposed for the first position of a draft."""
    _times: StepTimeModel = field(default_factory=StepTimeModel)

    @property
    def most(self) -> int:
        return self.heads.heads

    @property
    def time(self) -> StepTime:
        """Of a step, each token's part of it."""
        step, part = self._times.value, 1 / self.most
        return StepTime(step.a * part, 0.0, step.c * part, 0.0)

    def behind(self, one: Sequence) -> int | None:
        return 0 if isinstance(proposal_of(one).streams, np.ndarray) else None

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> None:
        begun = self.clock()
        hidden = np.array([proposal_of(one).streams for one, _ in wanted], np.float32)
        logits, drawn = self.heads.step(hidden)
        rows = list(range(len(wanted)))
        for head in range(max([count for _, count in wanted])):
            rows = [row for row in rows if head < wanted[row][1]]
            best = logits[head][rows]
            largest = best.max(1, initial=-np.inf)
            output = StepOutput(best, drawn[head][rows], hidden[rows], largest)
            some = [wanted[row][0] for row in rows]
            tokens = likely_tokens(some, output, self.sampler)
            for row, (one, token) in enumerate(zip(some, tokens, strict=True)):
                if token is None:
                    continue
                if head == 0 and self.width > 1:
                    proposal_of(one).others += others(best[row], token, self.width - 1)
                proposal_of(one).draft.append(token)
            rows = [row for row, token in zip(rows, tokens, strict=True) if token is not None]
        self._times.learn(0, len(wanted), 0, self.clock() - begun)

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        """Keep what each last token was drawn from."""
        for one, _, _, row in seen:
            if row is not None:
                proposal_of(one).streams = output.hidden[row].copy()
