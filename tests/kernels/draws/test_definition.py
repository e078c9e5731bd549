"""The definition of a draw: how exact it is, that its noise is noise, and what it has drawn."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.draws.definition import (
    DrawRule,
    choose,
    distance,
    halves,
    kept,
    key_of,
    log2,
    log2_above,
    mixed,
    noise,
    scattered,
    score,
    wanted,
    weight,
    word,
)
from tests.support.draw_cases import GOLDEN, golden_row

RNG = np.random.default_rng(5)
UNIT = 2.0**40
TIED = np.array([1, 3, 3, 2, 3, 0], np.float32)
Words = npt.NDArray[np.uint32]


def many_keys(count: int, seed: int = 0) -> tuple[Words, Words]:
    keys = np.random.default_rng(seed).integers(0, 2**32, (2, count), np.uint32)
    return keys[0], keys[1]


def test_weights_are_powers_of_two() -> None:
    """To a millionth, where a unit is no more than that, and exactly where the power is whole."""
    t = -RNG.uniform(0, 20, 100_000).astype(np.float32)
    want = 2.0 ** t.astype(np.float64) * UNIT
    ends = np.array([0, -1, -39, -40, -41, -63, -64, -1000, -np.inf], np.float32)

    assert np.abs(weight(t) / want - 1).max() < 1.5e-6
    assert weight(ends).tolist() == [2**40, 2**39, 2, 1, 0, 0, 0, 0, 0]


def test_logarithms() -> None:
    x = np.exp(RNG.uniform(-43, 5, 100_000)).astype(np.float32)
    z = RNG.uniform(0.5**0.5 - 1, 2**0.5 - 1, 100_000).astype(np.float32)
    tiny = np.array([1e-3, 1e-10, 1e-19], np.float32)
    want = np.log2(x.astype(np.float64))

    assert (np.abs(log2(x) - want) < 2e-7 * np.maximum(np.abs(want), 1)).all()
    for some in (z, tiny):
        exact = np.log1p(some.astype(np.float64)) / math.log(2)
        assert np.abs(log2_above(some) / exact - 1).max() < 2e-7
    assert log2(np.array([0.25, 1.0, 8.0], np.float32)).tolist() == [-2, 0, 3]


def test_noise_is_the_logarithm_of_an_exponential() -> None:
    """Of all 63 bits, to two millionths: also of the smallest, which wins."""
    tokens = scattered(np.arange(200_000, dtype=np.uint32))
    first, second = halves(key_of(1, 2, 3))
    high = word(tokens, first, second).astype(np.int64) << 31
    v = (high | (word(tokens, second, first) >> 1) | 1).astype(np.longdouble) / 2.0**63
    want = -np.log2(-np.log1p(-v) / np.log(np.longdouble(2)))
    got = noise(tokens, first, second)

    assert np.abs(got - want).max() < 2e-6
    assert got.min() > -6
    assert got.max() > 15


def test_keys_are_of_splitmix64() -> None:
    """Its published first output for seed 0; and the same by numpy as by Python's integers."""
    assert mixed(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    parts = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert key_of(parts, parts, parts).tolist() == [key_of(int(p), int(p), int(p)) for p in parts]
    assert key_of(-1, 0, 0) == key_of(2**64 - 1, 0, 0)


def test_keys_differ_in_every_part() -> None:
    """Also where parts could be exchanged or added up."""
    golden = 0x9E3779B97F4A7C15
    seeds = (0, 1, golden, 2 * golden, 2**63, 2**64 - 1)
    keys = [(s, c, p) for s in seeds for c in range(8) for p in range(64)]

    assert len({key_of(*key) for key in keys}) == len(keys)


@pytest.mark.parametrize("part", ["seed", "choice", "position", "token"])
def test_noise_of_neighbours_is_independent(part: str) -> None:
    """Mean, spread and correlation with the neighbour, of 10,000 in a row."""
    same = {"seed": 3, "choice": 4, "position": 5, "token": 6}
    at = {name: np.full(10_000, value, np.uint64) for name, value in same.items()}
    at[part] = np.arange(10_000, dtype=np.uint64)
    keys = key_of(at["seed"], at["choice"], at["position"])
    first, second = keys.astype(np.uint32), (keys >> 32).astype(np.uint32)
    g = noise(scattered(at["token"].astype(np.uint32)), first, second).astype(np.float64)

    assert abs(g.mean() - (0.5772157 / math.log(2) + math.log2(math.log(2)))) < 0.08
    assert abs(g.var() - (math.pi / math.log(2)) ** 2 / 6) < 0.3
    assert abs(np.corrcoef(g[1:], g[:-1])[0, 1]) < 0.05


@pytest.mark.parametrize("apart", [1 << 31, 1 << 30, 1 << 16, 1, 0x80008000, 0x9E3779B9])
def test_tokens_whose_bits_are_alike_are_independent(apart: int) -> None:
    """By the squares of their words' highest bits, over 200,000 keys: a hash whose key is added
    where nothing multiplies it any more fails for some pairs."""
    count, (first, second) = 200_000, many_keys(200_000)
    one, other = np.uint32(0xDEADBEEF), np.uint32(0xDEADBEEF ^ apart)
    x, y = word(one, first, second) >> 28, word(other, first, second) >> 28
    cells = np.bincount((x * np.uint32(16) + y).astype(np.int64), minlength=256)
    chi = ((cells - count / 256) ** 2 / (count / 256)).sum()

    assert chi < 255 + 6 * math.sqrt(2 * 255)


def test_chances_are_the_weights() -> None:
    """Chi-squared over 300,000 keys, at a level of one in a million."""
    logits = np.array([0, -1, -2, 1, -6, 0, -0.5, 2], np.float32)
    t = distance(logits, logits.max(), np.float32(math.log2(math.e)))
    tokens, count, (first, second) = (
        scattered(np.arange(8, dtype=np.uint32)),
        300_000,
        many_keys(300_000, 1),
    )
    points = [score(t[i], tokens[i], first, second) for i in range(8)]
    drawn = np.bincount(np.argmax(points, 0), minlength=8)
    want = np.exp(logits.astype(np.float64))
    want *= count / want.sum()

    assert ((drawn - want) ** 2 / want).sum() < 42


def test_the_order_is_by_logits_then_by_ids() -> None:
    def left(*rule: float) -> Sequence[int]:
        temperature, top_k, top_p, min_p = rule
        found: list[int] = kept(TIED, DrawRule.of(temperature, int(top_k), top_p, min_p)).tolist()
        return found

    assert left(1, 0, 1, 0) == [1, 2, 4, 3, 0, 5]
    assert left(1, 2, 1, 0) == [1, 2]
    assert left(1, 99, 1, 0) == [1, 2, 4, 3, 0, 5]
    assert left(1, 0, 0, 0) == [1]
    assert left(1, 0, 0.4, 0) == [1, 2]
    assert left(1, 4, 0.9999, 0.5) == [1, 2, 4]
    assert left(1, 0, 1, 1) == [1, 2, 4]
    assert left(1e-310, 0, 1, 1e-300) == [1, 2, 4]


def test_top_p_keeps_the_fewest_that_are_enough() -> None:
    """Of four equal tokens two weigh a half, and a hair more than a half is three."""
    four = np.zeros(4, np.float32)

    assert [len(kept(four, DrawRule.of(1, 0, p, 0))) for p in (0.25, 0.5, 0.500001)] == [1, 2, 3]
    assert wanted(2**40, 1e-300) == 1


def test_typical_p_keeps_those_nearest_to_the_average_surprise() -> None:
    """As transformers has it: by the distance of each surprise from the entropy, after the others
    have left what they leave."""
    rng = np.random.default_rng(4)
    for share in (0.0, 0.1, 0.5, 0.9, 0.99):
        row = rng.normal(0, 3, 50).astype(np.float32)
        logs = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
        shares = np.exp(logs)
        order = np.argsort(np.abs(-logs + (shares * logs).sum()), kind="stable")
        count = int(np.searchsorted(np.cumsum(shares[order]), share)) + 1

        assert kept(row, DrawRule.of(1, 0, 1, 0, share)).tolist() == order[:count].tolist()


def test_typical_p_may_leave_out_the_likeliest_token_and_always_leaves_one() -> None:
    row = np.array([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.float32)

    assert kept(row, DrawRule.of(1, 0, 1, 0, 0.3)).tolist() == [0]
    assert kept(row, DrawRule.of(1, 0, 0.0, 0, 0.5)).tolist() == [0]
    assert 0 not in kept(row, DrawRule.of(2, 0, 1, 0, 0.3)).tolist()


def test_a_rule_holds_what_float32_cannot() -> None:
    scales = [DrawRule.of(t, 0, 1, 0).scale for t in (0.0, 5e-324, 1.0, 1e308)]

    assert scales[0] == 0
    assert scales[1] == np.finfo(np.float32).max
    assert scales[2] == np.float32(math.log2(math.e))
    assert scales[3] == np.finfo(np.float32).tiny


def test_nothing_is_drawn_of_what_is_not_finite() -> None:
    rule = DrawRule.of(1, 0, 1, 0)

    for wrong in (np.nan, np.inf):
        assert choose(np.array([0, wrong, 1], np.float32), rule, 1) is None
    assert choose(np.full(3, -np.inf, np.float32), rule, 1) is None
    assert choose(np.array([-np.inf, 0], np.float32), rule, 1) == 1


@pytest.mark.parametrize(("rule", "drawn"), GOLDEN)
def test_golden_draws(rule: DrawRule, drawn: list[int]) -> None:
    got = [choose(golden_row(), rule, key_of(42, 1, position)) for position in range(12)]

    assert got == drawn
