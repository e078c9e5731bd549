"""What a step came to for one sequence: its next token, or the vector that it wants."""

from typing import NamedTuple

import numpy as np

from raylax.kernels.model import StepOutput
from raylax.proto.calls.vector import normalised
from raylax.proto.vocabulary import Request, TokenLogprobs
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.sampler import (
    NotFinite,
    check_finite,
    is_plain_greedy,
    log_probabilities,
    sample,
)


class DrawResult(NamedTuple):
    """What a sequence whose last token was computed gets of a step."""

    token: int | None = None
    """None if it wants a vector."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    embedding: tuple[float, ...] = ()
    error: str | None = None
    """Why it gets nothing: its own end, which no other sequence of the step has a part in."""


def draw(
    request: Request,
    position: int,
    adjustment: Adjustment,
    output: StepOutput,
    row: int,
    is_drawn: bool = False,
) -> DrawResult:
    """The token at this position of the answer, or the vector of the last token of the prompt.

    `row`: the one of that sequence's last token in the step's output; `is_drawn`: it had a rule, by
    which the model has drawn. `adjustment` has been told of the tokens so far. Raises NotFinite, by
    a look at what is drawn: a model whose weights are not finite is found when it is loaded.
    """
    sampling = request.sampling
    if request.embed:
        hidden = output.hidden[row]
        if not np.isfinite(hidden).all():
            raise NotFinite("the vector is not finite")
        return DrawResult(embedding=normalised(hidden.tolist()))
    if is_drawn or is_plain_greedy(sampling):
        token = int(output.drawn[row])
        check_finite(float(output.largest[row]))
    else:
        token = sample(output.logits[row], sampling, request.choice, position, adjustment)
    if sampling.top_logprobs is None:
        return DrawResult(token)
    logprobs = log_probabilities(output.logits[row], token, sampling.top_logprobs)
    return DrawResult(token, (logprobs,))
