"""Every field of a draw at its ends, on rows at the ends of float32: always a token of the row, or
the one error that a row without any has."""

import random

import numpy as np
import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.ranges import SAMPLING
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.model.limits import ModelLimits, check
from raylax.worker.sampling.adjustment import Logits
from raylax.worker.sampling.sampler import NotFinite
from tests.support.draws import drawn_after, log_probabilities_of

VOCAB = 70
LIMITS = ModelLimits(EngineConfig(max_single_sequence_length=100), VOCAB)
TINY = 5e-324, 1e-300, 1e-46, 1e-38, 1e-6
BEYOND = -1e308, -1.0, 1e308, float("inf"), float("-inf"), float("nan")
ENDS = {
    **{name: (*range_, *TINY, 0.5, 1.0, *BEYOND) for name, range_ in SAMPLING.items()},
    "top_k": (0, 1, 2, VOCAB, VOCAB + 1, 2**31, 2**70, -1),
    "seed": (0, 1, 2**63, 2**64 - 1, 2**70, -1),
    "logit_bias": (
        (),
        ((0, 100.0), (1, -100.0)),
        tuple((token, -100.0) for token in range(VOCAB)),
        ((0, 1e308),),
        ((VOCAB, 1.0),),
    ),
    "top_logprobs": (None, 0, 20, 10**9, -1),
}


def rows() -> dict[str, Logits]:
    rng = np.random.default_rng(3)
    plain = rng.normal(0, 3, VOCAB).astype(np.float32)
    masked = np.where(rng.random(VOCAB) < 0.9, -np.inf, plain).astype(np.float32)
    masked[5] = 0
    return {
        "plain": plain,
        "masked": masked,
        "equal": np.full(VOCAB, 7, np.float32),
        "lowest": np.full(VOCAB, -3.4e38, np.float32),
        "highest": np.full(VOCAB, 3.4e38, np.float32),
        "both": np.where(np.arange(VOCAB) % 2, 3.4e38, -3.4e38).astype(np.float32),
    }


def drawn_fields(rng: random.Random) -> Sampling:
    """Some fields at an end, or beyond; the others as they are by default."""
    names = rng.sample(sorted(ENDS), rng.randint(1, 4))
    return Sampling(**{name: rng.choice(ENDS[name]) for name in names})  # type: ignore[arg-type]


def test_whatever_is_accepted_draws_a_token() -> None:
    """Of 3,000 requests with fields at their ends and beyond, on every row."""
    rng, given, accepted = random.Random(14), rows(), 0
    tokens = [rng.randrange(VOCAB) for _ in range(40)]
    for _ in range(3000):
        sampling = drawn_fields(rng)
        try:
            check(Request("r", tuple(tokens[:20]), 50, sampling), LIMITS)
        except InvalidRequest as error:
            assert error.param in ENDS
            continue
        accepted += 1
        for row in given.values():
            token = drawn_after(row, sampling, 0, tokens, 20)
            assert 0 <= token < VOCAB
            assert row[token] > -np.inf
            if sampling.top_logprobs is not None:
                entry = log_probabilities_of(row, token, sampling.top_logprobs)
                assert np.isfinite([entry.logprob, *(value for _, value in entry.top)]).all()

    assert 500 < accepted < 2500


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(top_k=3), Sampling(temperature=0.0)])
def test_a_row_that_is_not_finite_says_so(wrong: float, sampling: Sampling) -> None:
    row = rows()["plain"]
    row[40] = wrong

    with pytest.raises(NotFinite, match=f"the largest logit is {wrong}, which is not finite"):
        drawn_after(row, sampling, 0, [1, 2], 1)


def test_a_row_that_forbids_everything_says_so() -> None:
    with pytest.raises(NotFinite, match="-inf"):
        drawn_after(np.full(VOCAB, -np.inf, np.float32), Sampling(), 0, [1, 2], 1)
