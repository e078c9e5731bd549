"""A head that goes on from what the model itself has computed (https://arxiv.org/abs/2401.15077,
https://arxiv.org/abs/2503.01840): beside each token it reads the feature of the token before."""

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

import numpy as np

from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.model import Floats, Ints, StepBatch, StepOutput
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
        self.pieces.append(streams.copy())
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
    tapped: Callable[[Ints], Floats]
    """[tokens, taps * hidden]: what the engine's last step has kept of these of its tokens."""
    step_tokens: int
    longest: int
    shift: int = 1
    reads = True

    @property
    def draws(self) -> int:
        return self.head.vocab if self.head.draws else 0

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
        followed = [each for each in seen if not each.one.request.embed]
        ends = [each.at + each.kept for each in followed]
        counts = [min(each.kept, MOST_KEPT) for each in followed]
        tokens = [np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)]
        if not tokens:
            return
        streams = self.tapped(np.concatenate(tokens).astype(np.int32))
        for each, own in zip(followed, np.split(streams, np.cumsum(counts)[:-1]), strict=True):
            keep(each.one, each.kept, own)


def keep(one: Sequence, count: int, streams: Floats) -> None:
    """Those of the last of so many tokens of a sequence, which come next."""
    proposal, first = proposal_of(one), one.computed + count - len(streams)
    if not isinstance(proposal.streams, KeptStreams):
        proposal.streams = KeptStreams(first, end=first)
    proposal.streams.add(first, streams)


def of_base(output: HeadOutput, vocab: int) -> StepOutput:
    """The output as if the head could name all tokens of its base: those that it lacks it never
    draws."""
    logits = of_tokens(output.logits, output.tokens, vocab)
    return StepOutput(logits, output.drawn, output.hidden, output.largest)
