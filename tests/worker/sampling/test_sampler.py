"""Draws: the right distribution, keyed by seed, choice and position, and by nothing else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Logits
from raylax.worker.sampling.sampler import (
    BLOCK,
    ascending,
    candidates,
    draw,
    likeliest,
    log_probabilities,
    uniform,
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


def shares(logits: Logits, s: Sampling) -> list[float]:
    """What `sample` draws from."""
    ids, weights = candidates(logits, s)
    out = np.zeros(len(logits))
    out[slice(None) if ids is None else ids] = weights / weights.sum()
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
    assert shares(logits, sampling) == pytest.approx(reference(logits, sampling), abs=1e-12)


@pytest.mark.parametrize(
    "sampling", [PLAIN, Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.02)]
)
def test_draws_follow_it(sampling: Sampling) -> None:
    """Chi-squared over 20,000 seeds, at a level of one in a million."""
    count, want = 20_000, np.array(reference(LOGITS, sampling))
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
    assert likeliest(TIED, 99).tolist() == [1, 2, 4, 3, 0, 5]


@pytest.mark.parametrize("temperature", [1e-3, 1e-12, 1e-310])
def test_a_tiny_temperature_is_greedy(temperature: float) -> None:
    """And no overflow."""
    assert drawn_after(LOGITS, Sampling(temperature=temperature), 0, [1], 1) == LOGITS.argmax()


def test_temperature_zero_takes_the_first_of_the_largest() -> None:
    assert drawn_after(TIED, Sampling(temperature=0.0, seed=3), 0, [1], 1) == 1


def test_keys_differ_in_every_part() -> None:
    """Also where parts could be exchanged or added up."""
    keys = [(s, c, p) for s in (0, 1, 2**63, 2**64 - 1) for c in range(8) for p in range(64)]
    drawn = {uniform(*key) for key in keys}

    assert len(drawn) == len(keys)
    assert all(0.0 <= at < 1.0 for at in drawn)
    assert uniform(-1, 0, 0) == uniform(2**64 - 1, 0, 0)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_neighbouring_keys_are_independent(part: int) -> None:
    """Mean, spread and correlation with the neighbour, of 10,000 keys in a row."""
    rows = np.array([uniform(*np.roll([i, 3, 4], part).tolist()) for i in range(10_000)])

    assert abs(rows.mean() - 0.5) < 0.015
    assert abs(rows.var() - 1 / 12) < 0.005
    assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 0.05


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


@pytest.mark.parametrize("peak", [0.0, 12.0])
@pytest.mark.parametrize("top_p", [0.5, 0.9, 0.999])
def test_a_nucleus_of_any_size_is_the_one_defined(peak: float, top_p: float) -> None:
    """However many of the largest must be sorted to find it."""
    logits = large_vocabulary(peak)
    ids, _ = candidates(logits, Sampling(top_p=top_p))
    order = np.argsort(-logits, kind="stable")
    weights = np.exp(logits[order].astype(np.float64) - logits.max())
    enough = int(np.searchsorted(np.cumsum(weights), top_p * weights.sum())) + 1

    assert ids is not None
    assert ids.tolist() == order[:enough].tolist()


@pytest.mark.parametrize("peak", [0.0, 12.0])
def test_a_draw_finds_each_token_at_its_place_on_the_line(peak: float) -> None:
    """In the middle of its share, whichever block of the vocabulary it lies in."""
    _, weights = candidates(large_vocabulary(peak), PLAIN)
    ends = np.cumsum(weights) / weights.sum()
    heavy = np.flatnonzero(weights > 1e-6 * weights.sum())
    middles = ends[heavy] - 0.5 * weights[heavy] / weights.sum()

    assert [draw(weights, float(at)) for at in middles] == heavy.tolist()


def test_the_ends_of_the_line() -> None:
    """Tokens of weight 0 are never drawn, not even where rounding reaches past the end."""
    weights = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    nothing = np.zeros(BLOCK)
    longer = np.concatenate([nothing, weights, nothing, weights, nothing])
    second = 2 * BLOCK + 5

    assert [draw(weights, at) for at in (0.0, 0.4999, 0.5, 0.9999, 1.0)] == [1, 1, 3, 3, 3]
    assert [draw(longer, at) - BLOCK for at in (0.0, 0.25, 0.4999)] == [1, 3, 3]
    assert [draw(longer, at) - second for at in (0.5, 0.75, 0.9999, 1.0)] == [1, 3, 3, 3]


@pytest.mark.parametrize("kinds", [1, 3, 500, 10**9])
def test_equal_values_keep_their_order_however_many(kinds: int) -> None:
    """In a vocabulary that is too large to be sorted in the plain way."""
    values = np.random.default_rng(8).integers(0, kinds, 5 * BLOCK).astype(np.float64)

    assert ascending(values).tolist() == np.argsort(values, kind="stable").tolist()


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
