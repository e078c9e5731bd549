"""Who wins by the bound is who wins by all scores."""

from dataclasses import astuple

import numpy as np
import pytest

from raylax.kernels.draws.definition import DrawRule, distance, halves, key_of, score
from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.race import CHUNK, vocabulary, winner
from raylax.worker.sampling.sampler import NotFinite, sample
from tests.support.draw_cases import GOLDEN, DrawCase, draw_cases, golden_row


def drawn(case: DrawCase) -> int | None:
    row, temperature, top_k, top_p, min_p, seed, choice, position = case
    sampling = Sampling(temperature, top_p, top_k, min_p, seed=seed)
    try:
        return sample(row, sampling, choice, position, Adjustment(sampling, 1))
    except NotFinite:
        return None


def test_a_draw_is_the_one_defined() -> None:
    """Of 2,000 rows of all kinds, with all settings."""
    sizes = 1, 2, 7, 50, 50, 300, 3000

    for case in draw_cases(2000, sizes):
        assert drawn(case) == case.chosen, (case.rule, case.row[:100])


@pytest.mark.parametrize("scale", [1e-30, 0.3, 1.4, 30.0, 3e38])
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_of_a_vocabulary_of_many_chunks_the_largest_score_wins(scale: float, spread: float) -> None:
    logits = np.random.default_rng(7).normal(0, spread, 5 * CHUNK // 2).astype(np.float32)
    top, tokens = logits.max(), vocabulary(len(logits))
    with np.errstate(over="ignore"):
        t = distance(logits, top, np.float32(scale))
        for position in range(20):
            key = key_of(3, 0, position)
            points = score(t, tokens, *halves(key))
            assert winner(logits, top, scale, tokens, key) == points.argmax()


def test_golden_draws() -> None:
    settings = [(1.0, 0, 1.0, 0.0), (0.5, 0, 0.9, 0.0), (1.5, 20, 0.95, 0.05)]
    for (rule, tokens), setting in zip(GOLDEN, settings, strict=True):
        cases = [DrawCase(golden_row(), *setting, 42, 1, position) for position in range(12)]
        assert astuple(rule) == astuple(DrawRule.of(*setting))
        assert [drawn(case) for case in cases] == tokens
