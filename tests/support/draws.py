"""Draws for tests: a sequence's next token, as an engine gets it that has just heard of it."""

from collections.abc import Sequence

from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Adjustment, Logits
from raylax.worker.sampling.sampler import sample


def adjusted(logits: Logits, sampling: Sampling, tokens: Sequence[int], prompt: int) -> Logits:
    """The logits with bias and penalties for `tokens`, of which the first `prompt` are the
    prompt."""
    adjustment = Adjustment(sampling, prompt)
    adjustment.tell(tokens)
    return adjustment.apply(logits)


def drawn_after(
    logits: Logits, sampling: Sampling, choice: int, tokens: Sequence[int], prompt: int
) -> int:
    """The token that follows `tokens`."""
    adjustment = Adjustment(sampling, prompt)
    adjustment.tell(tokens)
    return sample(logits, sampling, choice, len(tokens) - prompt, adjustment)
