"""A small model of the same tokenizer, which reads the same text (https://arxiv.org/abs/2302.01318,
https://arxiv.org/abs/2211.17192; a draft is accepted as far as it is what is drawn)."""

from collections.abc import Sequence as Several
from dataclasses import dataclass

import numpy as np

from raylax.kernels.model import Floats, Ints, Model, StepBatch, StepOutput
from raylax.worker.scheduling.drafting.base import Seen, of_tokens
from raylax.worker.scheduling.sequence import Sequence


@dataclass
class SmallModel:
    """Its inputs are the tokens."""

    model: Model
    vocab: int
    """Of the model that it drafts for, whose embedding may have more rows, or fewer."""
    tokens: Ints | None = None
    """The id of each token that it draws from; None: they are the same."""
    shift: int = 0
    reads = False

    def __post_init__(self) -> None:
        options, spec = self.model.options, self.model.spec
        self.step_tokens = options.max_step_tokens
        self.longest = min(options.max_sequence_length, spec.max_positions)
        # A device's noise is of the numbers of its logits, which are others where it names some.
        self.draws = spec.vocab if self.model.draws and self.tokens is None else 0

    def first(self, one: Sequence) -> int:
        return 0

    def features(self, one: Sequence, first: int) -> Floats | None:
        return None

    def step(self, batch: StepBatch, features: Floats | None) -> StepOutput:
        output = self.model.step(batch)
        if self.draws:
            return drawn_within(output, self.vocab)
        if self.tokens is not None:
            logits = of_tokens(output.logits, self.tokens, self.model.spec.embeds)
            output = output._replace(logits=logits, drawn=self.tokens[output.drawn])
        return of_vocabulary(output, self.vocab)

    def follow(self, seen: Several[Seen]) -> None:
        """The text says all."""


def drawn_within(output: StepOutput, vocab: int) -> StepOutput:
    """The output of a model that draws, whose logits lie on its device. Where it has drawn a token
    of its own, which is beyond so many, it has drawn none."""
    return output._replace(largest=np.where(output.drawn < vocab, output.largest, -np.inf))


def of_vocabulary(output: StepOutput, vocab: int) -> StepOutput:
    """The output as if the model had so many tokens: it never draws those that it lacks."""
    rows, own = output.logits.shape
    if own == vocab:
        return output
    if own < vocab:
        logits = np.full((rows, vocab), -np.inf, np.float32)
        logits[:, :own] = output.logits
        return output._replace(logits=logits)
    logits = output.logits[:, :vocab]
    drawn = logits.argmax(1).astype(np.int32)
    return output._replace(logits=logits, drawn=drawn, largest=logits[np.arange(rows), drawn])
