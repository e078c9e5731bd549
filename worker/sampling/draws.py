"""What a step came to for one sequence: its next token, or the vector that it wants."""

from typing import NamedTuple

import numpy as np

from raylax.kernels.model import StepOutput
from raylax.proto.calls.vector import normalised
from raylax.proto.vocabulary import Fault, TokenLogprobs
from raylax.worker.sampling.pooling import Pooled
from raylax.worker.sampling.sampler import NotFinite, Outcome, check_finite


class DrawResult(NamedTuple):
    """What a sequence whose last token was computed gets of a step."""

    token: int | None = None
    """None if it wants a vector."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    embedding: tuple[float, ...] = ()
    error: str | None = None
    """Why it gets nothing: its own end, which no other sequence of the step has a part in."""
    fault: Fault = Fault.REQUEST
    """Whose fault that is."""


def vector(
    output: StepOutput, row: int, logits_of: tuple[int, ...] = (), pooled: Pooled | None = None
) -> DrawResult:
    """The vector of the last token of the prompt, or what was pooled of all of them, at length 1;
    or the logits of these tokens behind it, as they are. Raises NotFinite."""
    if logits_of:
        logits = output.logits[row][list(logits_of)]
        for value in logits.tolist():
            check_finite(value)
        return DrawResult(embedding=tuple(logits.tolist()))
    state = output.hidden[row] if pooled is None else pooled.total
    if not np.isfinite(state).all():
        raise NotFinite("the vector is not finite")
    return DrawResult(embedding=normalised(state.astype(np.float32).tolist()))


def result(output: StepOutput, row: int, outcome: Outcome | None, is_drawn: bool) -> DrawResult:
    """The token of a row. `is_drawn`: the step has drawn it, and `outcome`, if there is one, has
    its log-probabilities. Raises NotFinite, by a look at what is drawn: a model whose weights are
    not finite is found when it is loaded."""
    if is_drawn:
        token, largest = int(output.drawn[row]), float(output.largest[row])
    else:
        assert outcome is not None
        token, largest = outcome.token, outcome.largest
    check_finite(largest)
    if outcome is None or outcome.logprobs is None:
        return DrawResult(token)
    return DrawResult(token, (outcome.logprobs,))
