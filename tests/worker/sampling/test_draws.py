"""From the rows of a step to what a sequence gets of it."""

import numpy as np
import pytest

from raylax.kernels.draws.rules import NO_RULE
from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.draws import DrawResult, result, vector
from raylax.worker.sampling.rules import PLAIN, rule_of
from raylax.worker.sampling.sampler import NotFinite, Wish
from tests.support.draws import sampler

LOGITS = np.eye(4, 9, dtype=np.float32) * 5  # row r says token r
OUTPUT = StepOutput(LOGITS, LOGITS.argmax(1).astype(np.int32), LOGITS[:, :3], LOGITS.max(1))


def drawn(request: Request, row: int, output: StepOutput = OUTPUT) -> DrawResult:
    if request.embed:
        return vector(output, row, request.logits_of)
    rule = rule_of(request)
    is_drawn = rule is PLAIN
    position, token = (NO_RULE, int(output.drawn[row])) if is_drawn else (0, 0)
    top = request.sampling.top_logprobs
    wish = Wish(row, request, rule, position, top_logprobs=top, token=token)
    return result(output, row, sampler().draw(output.logits, [wish])[0], is_drawn)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), Sampling(top_k=1)])
def test_the_row_of_the_last_token_says_the_next(sampling: Sampling) -> None:
    request = Request("r", (7, 8), 9, sampling)

    assert [drawn(request, row).token for row in (2, 1)] == [2, 1]


def test_log_probabilities_are_of_that_row() -> None:
    request = Request("r", (7, 8), 9, Sampling(temperature=0.0, top_logprobs=1))
    result = drawn(request, 3)

    assert [entry.top[0][0] for entry in result.logprobs] == [result.token] == [3]


def test_a_vector_is_that_of_the_last_token() -> None:
    """At length 1, and no token."""
    result = drawn(Request("r", (7, 8), 9, embed=True), 1)

    assert (result.token, result.embedding) == (None, (0.0, 1.0, 0.0))


def test_logits_are_those_of_the_tokens_that_are_named() -> None:
    """In their order, as they are."""
    result = drawn(Request("r", (7, 8), 9, embed=True, logits_of=(3, 1, 0)), 1)

    assert (result.token, result.embedding) == (None, (0.0, 5.0, 0.0))


@pytest.mark.parametrize("logits_of", [(), (0, 4)])
@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_no_answer(
    embed: bool, wrong: float, logits_of: tuple[int, ...]
) -> None:
    """Neither a token, though the compiled argmax names one, nor a vector."""
    logits = np.full((1, 9), wrong, np.float32)
    output = StepOutput(logits, np.zeros(1, np.int32), logits[:, :3], logits[:, 0])

    request = Request("r", (7, 8), 9, Sampling(temperature=0.0), embed=embed, logits_of=logits_of)
    with pytest.raises(NotFinite):
        drawn(request, 0, output)
