"""Draws: the right distribution, keyed by seed, choice and position, and by nothing else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from raylax.kernels.draws.definition import DrawRule, kept
from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Logits
from raylax.worker.sampling.sampler import (
    FEW,
    LANES,
    candidates,
    likeliest,
    log_probabilities,
    weights_of,
)
from tests.support.draws import drawn_after

RNG = np.random.default_rng(5)
LOGITS: Logits = RNG.normal(0, 2, 60).astype(np.float32)
TIED: Logits = np.array([1, 3, 3, 2, 3, 0], np.float32)
PLAIN = Sampling()


def reference(logits: Logits, s: Sampling) -> list[float]:
    """The distribution by its definition, in plain Python."""
    weights = [math.exp((float(x) - float(logits.max())) / s.temperature) for x in logits]
    order = sorted(range(len(weights)), key=lambda i: (-logits[i], i))
    if s.top_k:
        order = order[: s.top_k]
    if s.top_p < 1.0:
        mass, kept = sum(weights[i] for i in order), []
        for i in order:
            kept.append(i)
            if sum(weights[k] for k in kept) >= s.top_p * mass:
                break
        order = kept
    order = [i for i in order if weights[i] >= s.min_p * weights[order[0]]]
    mass = sum(weights[i] for i in order)
    return [weights[i] / mass if i in order else 0.0 for i in range(len(weights))]


def rule_of(s: Sampling) -> DrawRule:
    return DrawRule.of(s.temperature, s.top_k, s.top_p, s.min_p)


def left(logits: Logits, s: Sampling) -> list[int]:
    """The ids that may be drawn."""
    with np.errstate(over="ignore"):
        ids = candidates(logits, logits.max(), rule_of(s))
    return list(range(len(logits))) if ids is None else ids.tolist()


def shares(logits: Logits, s: Sampling) -> list[float]:
    """What `sample` draws from."""
    ids, out = left(logits, s), np.zeros(len(logits))
    weights = weights_of(logits[ids], logits.max(), rule_of(s).scale)
    out[ids] = weights / weights.sum()
    return list(out)


SAMPLINGS = [
    PLAIN,
    Sampling(temperature=0.3),
    Sampling(temperature=2.0),
    Sampling(top_k=1),
    Sampling(top_k=7),
    Sampling(top_k=1000),
    Sampling(top_p=0.01),
    Sampling(top_p=0.5),
    Sampling(top_p=0.999999),
    Sampling(min_p=0.1),
    Sampling(min_p=1.0),
    Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.02),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("logits", [LOGITS, TIED, np.zeros(40, np.float32)])
def test_the_distribution_is_the_one_defined(logits: Logits, sampling: Sampling) -> None:
    assert shares(logits, sampling) == pytest.approx(reference(logits, sampling), abs=1e-6)


@pytest.mark.parametrize(
    "sampling", [PLAIN, Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.02)]
)
def test_draws_follow_it(sampling: Sampling) -> None:
    """Chi-squared over 4,000 seeds, at a level of one in a million."""
    count, want = 4_000, np.array(reference(LOGITS, sampling))
    drawn = np.zeros(len(LOGITS))
    for seed in range(count):
        drawn[drawn_after(LOGITS, replace(sampling, seed=seed), 0, [1, 2], 1)] += 1
    often = want * count >= 5
    distance = ((drawn - want * count)[often] ** 2 / (want * count)[often]).sum()
    freedom = int(often.sum())

    assert not drawn[want == 0].any()
    assert distance < freedom + 5 * math.sqrt(2 * freedom) + 12


def test_equal_logits_are_taken_in_the_order_of_their_ids() -> None:
    assert [i for i, p in enumerate(shares(TIED, Sampling(top_k=2))) if p] == [1, 2]
    assert [i for i, p in enumerate(shares(TIED, Sampling(top_p=0.4))) if p] == [1, 2]
    assert likeliest(TIED, 4).tolist() == [1, 2, 4, 3]
    assert likeliest(TIED, 0).tolist() == []
    assert likeliest(np.zeros(9 * LANES, np.float32), 3).tolist() == [0, 1, 2]
    assert likeliest(TIED, 99).tolist() == [1, 2, 4, 3, 0, 5]


@pytest.mark.parametrize("temperature", [1e-3, 1e-12, 1e-310])
def test_a_tiny_temperature_is_greedy(temperature: float) -> None:
    """And no overflow."""
    assert drawn_after(LOGITS, Sampling(temperature=temperature), 0, [1], 1) == LOGITS.argmax()


def test_temperature_zero_takes_the_first_of_the_largest() -> None:
    assert drawn_after(TIED, Sampling(temperature=0.0, seed=3), 0, [1], 1) == 1


def test_only_the_position_of_what_was_said_counts() -> None:
    """Not which tokens they were, nor how long the prompt is."""
    for seed in range(20):
        seeded = Sampling(seed=seed)
        here = drawn_after(LOGITS, seeded, 2, [1, 2, 3, 4], 2)
        assert drawn_after(LOGITS, seeded, 2, [9, 9, 9, 9, 9, 7, 8], 5) == here
    others = {drawn_after(LOGITS, seeded, choice, [0] * length, 2) for choice in range(5)
              for length in range(2, 12)}  # fmt: skip
    assert len(others) > 5


def large_vocabulary(peak: float) -> Logits:
    """Of which the nucleus is a few tokens, or thousands."""
    rng = np.random.default_rng(6)
    logits: Logits = rng.normal(0, 2, 40_000).astype(np.float32)
    logits[rng.integers(0, len(logits), 30)] += np.float32(peak)
    return logits


SETTINGS = [
    *(Sampling(top_p=p) for p in (0.0, 0.5, 0.9, 0.999)),
    *(Sampling(top_k=k) for k in (1, 50, LANES // 4, LANES // 4 + 1, 39_999)),
    *(Sampling(min_p=p) for p in (1.0, 0.1, 1e-6, 1e-20)),
    Sampling(temperature=0.3, top_k=3 * FEW, top_p=0.8, min_p=0.01),
]


@pytest.mark.parametrize("peak", [0.0, 12.0])
@pytest.mark.parametrize("sampling", SETTINGS)
def test_of_a_large_vocabulary_the_same_is_left_as_by_sorting_it(
    peak: float, sampling: Sampling
) -> None:
    """With ties by the hundred, too."""
    for logits in (large_vocabulary(peak), np.round(large_vocabulary(peak))):
        assert left(logits, sampling) == sorted(kept(logits, rule_of(sampling)).tolist())


def test_a_nucleus_whose_end_a_rough_sum_leaves_open_is_exact() -> None:
    """Of tokens that weigh less, each, than the rough sum may be wrong by."""
    logits = np.random.default_rng(6).normal(0, 0.01, 200_000).astype(np.float32)
    sampling = Sampling(top_p=0.7)

    assert left(logits, sampling) == sorted(kept(logits, rule_of(sampling)).tolist())


def test_bias_forces_and_forbids() -> None:
    forced = Sampling(seed=1, logit_bias=((7, 100.0),))
    forbidden = Sampling(temperature=0.0, logit_bias=((int(LOGITS.argmax()), -100.0),))

    assert drawn_after(LOGITS, forced, 0, [1], 1) == 7
    assert drawn_after(LOGITS, forbidden, 0, [1], 1) == np.argsort(LOGITS)[-2]


@pytest.mark.parametrize("top", [0, 1, 5, 1000])
def test_log_probabilities_are_log_softmax(top: int) -> None:
    """Of the raw logits, with the most likely tokens in order."""
    softmax = np.exp(LOGITS.astype(np.float64))
    want = np.log(softmax / softmax.sum())
    entry = log_probabilities(LOGITS, 11, top)

    assert entry.logprob == pytest.approx(want[11])
    assert [token for token, _ in entry.top] == np.argsort(-LOGITS, kind="stable")[:top].tolist()
    assert [value for _, value in entry.top] == pytest.approx(sorted(want, reverse=True)[:top])


def test_log_probabilities_of_huge_logits() -> None:
    """No overflow, and no probability above 1."""
    entry = log_probabilities(np.array([1e4, -1e4, 1e4], np.float32), 1, 2)

    assert [token for token, _ in entry.top] == [0, 2]
    assert [value for _, value in entry.top] == pytest.approx([-math.log(2)] * 2)
    assert entry.logprob == pytest.approx(-2e4 - math.log(2))


def test_log_probability_of_the_impossible() -> None:
    """A masked token's is a number, in 32 bits as in 64."""
    entry = log_probabilities(np.array([0, -np.inf], np.float32), 1, 2)

    assert np.isfinite(np.array([entry.logprob, entry.top[1][1]], np.float32)).all()
