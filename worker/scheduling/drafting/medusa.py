"""Heads that each say one token more, from what the model has computed of the last one
(https://arxiv.org/abs/2401.10774). They read nothing else, and have no pages."""

import time
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.model import Floats, StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.base import (
    Seen,
    guessing,
    likely_tokens,
    others,
    proposal_of,
)
from raylax.worker.scheduling.pace.step_time import StepTimeModel
from raylax.worker.scheduling.sequence import Sequence


class Heads(Protocol):
    """As those of `raylax.kernels.heads.medusa` are."""

    heads: int
    draws: int
    """Tokens that they have if they draw by rules; 0: they draw none."""

    def begin(self, hidden: Floats) -> None:
        """All go on from these rows, which the model makes its logits of."""
        ...

    def step(self, head: int, rows: list[int], draws: StepDraws | None) -> StepOutput:
        """What one of them says of some of those rows, until it says something else. `draws`: the
        rules by which it is to draw."""
        ...


@dataclass
class MedusaDrafter:
    """Drafts at most as many tokens as there are heads, all of them in one step."""

    heads: Heads
    sampler: Sampler
    clock: Callable[[], float] = time.perf_counter
    width: int = 1
    """Tokens that are proposed for the first position of a draft."""
    reads = True
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
        self.heads.begin(hidden)
        rows, vocab = list(range(len(wanted))), self.heads.draws
        for head in range(max([count for _, count in wanted])):
            rows = [row for row in rows if head < wanted[row][1]]
            if not rows:
                break
            some = [wanted[row][0] for row in rows]
            output = self.heads.step(head, rows, guessing(some, vocab) if vocab else None)
            tokens = likely_tokens(some, output, self.sampler, bool(vocab))
            for row, (one, token) in enumerate(zip(some, tokens, strict=True)):
                if token is None:
                    continue
                if head == 0 and self.width > 1:
                    proposal_of(one).others += others(output.logits[row], token, self.width - 1)
                proposal_of(one).draft.append(token)
            rows = [row for row, token in zip(rows, tokens, strict=True) if token is not None]
        self._times.learn(0, len(wanted), 0, self.clock() - begun)

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        """Keep what each last token was drawn from."""
        hidden = np.asarray(output.hidden)
        for one, _, _, row in seen:
            if row is not None:
                proposal_of(one).streams = hidden[row].copy()
