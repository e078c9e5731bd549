"""From the rows of a step to what a sequence gets of it."""

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.draws import draw

LOGITS = np.eye(4, 9, dtype=np.float32) * 5  # row r says token r
OUTPUT = StepOutput(LOGITS, LOGITS.argmax(1).astype(np.int32), LOGITS[:, :3])


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), Sampling(top_k=1)])
def test_the_row_of_the_last_token_says_the_next(sampling: Sampling) -> None:
    """Of the sequence's own rows, whoever has those around them."""
    request = Request("r", (7, 8), 9, sampling)

    assert draw(request, (7, 8), OUTPUT, 2, 1).token == 2
    assert draw(request, (7, 8), OUTPUT, 0, 2).token == 1


def test_log_probabilities_are_of_that_row() -> None:
    request = Request("r", (7, 8), 9, Sampling(temperature=0.0, top_logprobs=1))
    drawn = draw(request, (7, 8), OUTPUT, 1, 3)

    assert [entry.top[0][0] for entry in drawn.logprobs] == [drawn.token] == [3]


def test_a_vector_is_that_of_the_last_token() -> None:
    """At length 1, and no token."""
    drawn = draw(Request("r", (7, 8), 9, embed=True), (7, 8), OUTPUT, 0, 2)

    assert (drawn.token, drawn.embedding) == (None, (0.0, 1.0, 0.0))
