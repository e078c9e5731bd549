"""A head that goes on from what the model itself has computed (https://arxiv.org/abs/2401.15077,
https://arxiv.org/abs/2503.01840): beside each token it reads the feature of the token before."""

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

import numpy as np

from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.model import Floats, StepBatch, StepOutput
from raylax.worker.scheduling.drafting.base import Seen, of_tokens, proposal_of
from raylax.worker.scheduling.sequence import Sequence

MOST_KEPT = 128
"""Tokens of a sequence whose residual streams are kept until the head reads them: the last ones. It
reads a text that is longer from there on."""


@dataclass(slots=True)
class KeptStreams:
    """Residual streams of the last tokens that the model has computed of a sequence."""

    at: int = 0
    """The first of those tokens."""
    pieces: deque[Floats] = field(default_factory=deque)
    """[tokens, taps * hidden] each."""
    end: int = 0
    """The first token that comes next."""

    def add(self, at: int, streams: Floats) -> None:
        """Those of the tokens from `at` on. What does not follow the others takes their place."""
        if at != self.end:
            self.at, self.pieces = at, deque()
        self.pieces.append(streams[-MOST_KEPT:].copy())
        self.at += max(0, len(streams) - MOST_KEPT)
        self.end = at + len(streams)
        while self.end - self.at - len(self.pieces[0]) >= MOST_KEPT:
            self.at += len(self.pieces.popleft())

    def since(self, first: int) -> Floats:
        """Those of the tokens from `first` on; older ones are forgotten."""
        streams = np.concatenate(self.pieces)[first - self.at :]
        self.at, self.pieces = first, deque([streams])
        return streams


@dataclass
class HeadModel:
    """Its inputs are tokens beside features of the tokens before them."""

    head: DraftHead
    tapped: Callable[[int], Floats]
    """[tokens, taps * hidden]: what the engine's last step has kept of its first tokens."""
    step_tokens: int
    longest: int
    shift: int = 1
    draws: int = 0

    @property
    def vocab(self) -> int:
        return self.head.vocab

    def first(self, one: Sequence) -> int:
        kept = proposal_of(one).streams
        return kept.at if isinstance(kept, KeptStreams) else len(one.tokens)

    def features(self, one: Sequence, first: int) -> Floats:
        kept = proposal_of(one).streams
        assert isinstance(kept, KeptStreams)
        streams, most = kept.since(first), self.step_tokens
        parts = [streams[at : at + most] for at in range(0, len(streams), most)]
        return np.concatenate([self.head.features(part) for part in parts])

    def step(self, batch: StepBatch, features: Floats | None) -> StepOutput:
        assert features is not None
        return of_base(self.head.step(batch, features), self.head.vocab)

    def follow(self, seen: Several[Seen]) -> None:
        streams = self.tapped(max([each.at + each.kept for each in seen], default=0))
        for one, at, kept, _ in seen:
            if not one.request.embed:
                keep(one, streams[at : at + kept])


def keep(one: Sequence, streams: Floats) -> None:
    """Those of the next tokens of a sequence."""
    proposal = proposal_of(one)
    if not isinstance(proposal.streams, KeptStreams):
        proposal.streams = KeptStreams(one.computed, end=one.computed)
    proposal.streams.add(one.computed, streams)


def of_base(output: HeadOutput, vocab: int) -> StepOutput:
    """The output as if the head could name all tokens of its base: those that it lacks it never
    draws."""
    logits = of_tokens(output.logits, output.tokens, vocab)
    return StepOutput(logits, output.drawn, output.hidden, output.logits.max(1, initial=-np.inf))
