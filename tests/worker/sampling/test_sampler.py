"""Draws: the right distribution, keyed by seed, choice and position, and by nothing else."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.draws.definition import DrawRule, choose, key_of
from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Logits
from raylax.worker.sampling.sampler import Sampler, single_threaded
from tests.support.draws import adjusted, drawn_after, log_probabilities_of, sampler, wish_after

Doubles = npt.NDArray[np.float64]
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
def test_what_is_drawn_is_left_by_the_definition(logits: Logits, sampling: Sampling) -> None:
    """And each token that may be is drawn at times."""
    want = np.array(reference(logits, sampling))
    drawn = drawn_with(logits, sampling, 300)

    assert not drawn[want == 0].any()
    assert drawn[want > 0.05].all()


@pytest.mark.parametrize(
    "sampling", [PLAIN, Sampling(temperature=0.7, top_k=20, top_p=0.9, min_p=0.02)]
)
def test_draws_follow_it(sampling: Sampling) -> None:
    """Chi-squared over 4,000 seeds, at a level of one in a million."""
    count, want = 4_000, np.array(reference(LOGITS, sampling))
    drawn = drawn_with(LOGITS, sampling, count)
    often = want * count >= 5
    distance = ((drawn - want * count)[often] ** 2 / (want * count)[often]).sum()
    freedom = int(often.sum())

    assert not drawn[want == 0].any()
    assert distance < freedom + 5 * math.sqrt(2 * freedom) + 12


def drawn_with(logits: Logits, sampling: Sampling, count: int) -> Doubles:
    """How often each token is drawn, with so many seeds, in one batch."""
    rows = [wish_after(0, replace(sampling, seed=seed), 0, [1, 2], 1) for seed in range(count)]
    outcomes = sampler().draw(logits[None], rows)
    return np.bincount([one.token for one in outcomes], minlength=len(logits)).astype(np.float64)


def test_equal_logits_are_taken_in_the_order_of_their_ids() -> None:
    def likeliest(logits: Logits, count: int) -> list[int]:
        return [token for token, _ in log_probabilities_of(logits, 0, count).top]

    assert np.flatnonzero(drawn_with(TIED, Sampling(top_k=2), 99)).tolist() == [1, 2]
    assert np.flatnonzero(drawn_with(TIED, Sampling(top_p=0.4), 99)).tolist() == [1, 2]
    assert likeliest(TIED, 4) == [1, 2, 4, 3]
    assert likeliest(TIED, 0) == []
    assert likeliest(np.zeros(20_000, np.float32), 3) == [0, 1, 2]
    assert likeliest(TIED, 99) == [1, 2, 4, 3, 0, 5]


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
    entry = log_probabilities_of(LOGITS, 11, top)

    assert entry.logprob == pytest.approx(want[11])
    assert [token for token, _ in entry.top] == np.argsort(-LOGITS, kind="stable")[:top].tolist()
    assert [value for _, value in entry.top] == pytest.approx(sorted(want, reverse=True)[:top])


def test_log_probabilities_of_huge_logits() -> None:
    """No overflow, and no probability above 1."""
    entry = log_probabilities_of(np.array([1e4, -1e4, 1e4], np.float32), 1, 2)

    assert [token for token, _ in entry.top] == [0, 2]
    assert [value for _, value in entry.top] == pytest.approx([-math.log(2)] * 2)
    assert entry.logprob == pytest.approx(-2e4 - math.log(2))


def test_log_probability_of_the_impossible() -> None:
    """A masked token's is a number, in 32 bits as in 64."""
    entry = log_probabilities_of(np.array([0, -np.inf], np.float32), 1, 2)

    assert np.isfinite(np.array([entry.logprob, entry.top[1][1]], np.float32)).all()


@pytest.mark.parametrize("top_logprobs", [None, 3])
def test_all_that_may_be_asked_is_drawn_as_defined(
    top_logprobs: int | None,
) -> None:
    """With typical-p and without, behind all that changes logits before."""
    plain = Sampling(
        top_k=30, repetition_penalty=1.2, logit_bias=((7, 3.0),), top_logprobs=top_logprobs
    )
    wishes = [
        wish_after(0, replace(plain, seed=seed, typical_p=share), 1, [1, 2, 3], 1)
        for seed in range(40)
        for share in (1.0, 0.3)
    ]
    mask = np.full(2, 0x5555FFFF, np.int32)
    wishes = [wish._replace(mask=mask, top_logprobs=top_logprobs) for wish in wishes]
    outcomes = sampler().draw(LOGITS[None], wishes)
    row = adjusted(LOGITS, plain, [1, 2, 3], 1)
    row[np.unpackbits(mask.view(np.uint8), count=60, bitorder="little") == 0] = -np.inf

    for wish, outcome in zip(wishes, outcomes, strict=True):
        s = wish.request.sampling
        rule = DrawRule.of(s.temperature, s.top_k, s.top_p, s.min_p, s.typical_p)
        assert outcome.token == choose(row, rule, key_of(s.seed, 1, 2))
        assert outcome.largest == row.max()
        assert (outcome.logprobs is not None) == (top_logprobs is not None)


def test_of_a_device_those_rows_are_read_that_are_wanted() -> None:
    class Rows:
        shape = 9, 60
        read: ClassVar[list[int]] = []

        def __getitem__(self, row: int) -> Logits:
            self.read.append(row)
            return np.roll(LOGITS, row)

    wishes = [wish_after(row, Sampling(temperature=0.0), 0, [1], 1) for row in (7, 2)]
    outcomes = sampler().draw(cast(Logits, Rows()), wishes)

    assert [one.token for one in outcomes] == [(LOGITS.argmax() + row) % 60 for row in (7, 2)]
    assert Rows.read == [7, 2]


def test_engines_in_threads_of_one_process_draw_apart() -> None:
    """Each has a sampler of its own, though both run the same code."""
    rows = {seed: np.random.default_rng(seed).normal(0, 2, (8, 30_000)) for seed in (1, 2)}

    def tokens(seed: int, made: Sampler, times: int) -> set[tuple[int, ...]]:
        logits = rows[seed].astype(np.float32)
        wishes = [wish_after(row, Sampling(top_p=0.9, seed=seed), 0, [1], 1) for row in range(8)]
        return {tuple(one.token for one in made.draw(logits, wishes)) for _ in range(times)}

    want = [tokens(seed, sampler(), 1) for seed in rows]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda seed: tokens(seed, single_threaded(), 20), rows)

        assert list(found) == want
