"""What a step came to for one sequence: its next token, or the vector that it wants."""

from collections.abc import Sequence
from typing import NamedTuple

from raylax.kernels.model import StepOutput
from raylax.proto.calls.vector import normalised
from raylax.proto.vocabulary import Request, TokenLogprobs
from raylax.worker.sampling.sampler import is_plain_greedy, log_probabilities, sample


class DrawResult(NamedTuple):
    """What a sequence whose last token was computed gets of a step."""

    token: int | None = None
    """None if it wants a vector."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    embedding: tuple[float, ...] = ()


def draw(
    request: Request, tokens: Sequence[int], output: StepOutput, first: int, rows: int
) -> DrawResult:
    """The token that follows `tokens`, the sequence so far, or the vector of its last one.

    `first`, `rows`: where the sequence's rows begin in the step's output, and how many it has, at
    least one: a row for each of its last tokens.
    """
    sampling, row = request.sampling, first + rows - 1
    if request.embed:
        return DrawResult(embedding=normalised(output.hidden[row].tolist()))
    if is_plain_greedy(sampling):
        token = int(output.argmax[row])
    else:
        token = sample(output.logits[row], sampling, request.choice, tokens, len(request.prompt))
    if sampling.top_logprobs is None:
        return DrawResult(token)
    return DrawResult(token, (log_probabilities(output.logits[row], token, sampling.top_logprobs),))
