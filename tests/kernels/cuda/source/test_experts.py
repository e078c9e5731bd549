"""Which experts a token has, in what order their rows are computed, and their sum: beside numpy."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.cuda.variants.experts import Tiling
from raylax.kernels.spec import Experts
from tests.support.cuda_experts import Routed, blended, routed, sorted_pairs

Array = npt.NDArray[Any]
TOKENS = 9
STRIDE = 48
FEW = Experts(5, 2, 32)
MANY = Experts(40, 6, 32)
WAYS = {
    "softmax": FEW,
    "normalised": replace(MANY, normalised=True),
    "scaled": replace(MANY, scale=2.5),
    "sigmoid": replace(MANY, scores="sigmoid"),
    "corrected": replace(MANY, scores="sigmoid", corrected=True, normalised=True, scale=1.8),
    "softmax, corrected": replace(MANY, corrected=True),
    "groups": replace(
        MANY, scores="sigmoid", corrected=True, groups=8, groups_chosen=3, normalised=True
    ),
    "odd groups": replace(Experts(21, 4, 32), scores="sigmoid", groups=3, groups_chosen=2),
    "all": Experts(4, 4, 32),
    "one": Experts(3, 1, 32),
}
on_ways = pytest.mark.parametrize("e", WAYS.values(), ids=WAYS)


def logits_of(e: Experts, seed: int = 1) -> Array:
    """As a product leaves them: what lies behind the experts is no number."""
    logits = np.full((TOKENS, STRIDE), np.nan, np.float32)
    logits[:, : e.count] = 3 * np.random.default_rng(seed).standard_normal((TOKENS, e.count))
    return logits


def correction_of(e: Experts) -> Array | None:
    rng = np.random.default_rng(2)
    return rng.standard_normal(e.count).astype(np.float32) if e.corrected else None


def expected(e: Experts, logits: Array) -> tuple[Array, Array]:
    """In float64, a token after the other: https://arxiv.org/abs/2412.19437."""
    value = logits[:, : e.count].astype(float)
    if e.scores == "sigmoid":
        score = 1 / (1 + np.exp(-value))
    else:
        score = np.exp(value) / np.exp(value).sum(-1, keepdims=True)
    correction = correction_of(e)
    choice = score if correction is None else score + correction
    if e.groups > 1:
        parted = choice.reshape(len(value), e.groups, -1)
        both = np.sort(parted)[:, :, -2:].sum(-1)
        kept = np.argsort(-both, kind="stable")[:, : e.groups_chosen]
        seen = np.zeros(both.shape, bool)
        np.put_along_axis(seen, kept, True, 1)
        choice = np.where(seen[:, :, None], parted, -np.inf).reshape(value.shape)
    chosen = np.argsort(-choice, kind="stable")[:, : e.chosen]
    shares = np.take_along_axis(score, chosen, 1)
    if e.normalised:
        shares = shares / shares.sum(-1, keepdims=True)
    return chosen, shares * e.scale


@on_ways
def test_a_token_has_the_likeliest_experts(e: Experts) -> None:
    logits = logits_of(e)

    found = routed(e, logits, [0] * TOKENS, correction_of(e))

    chosen, shares = expected(e, logits)
    assert np.array_equal(found.experts, chosen)
    np.testing.assert_allclose(found.shares, shares, rtol=3e-6)


def test_of_equal_ones_the_first_are_chosen() -> None:
    """Of groups, too, and of scores that sigmoids have made equal."""
    same = np.zeros((1, STRIDE), np.float32)
    for e in (FEW, MANY, replace(WAYS["groups"], corrected=False)):
        assert routed(e, same, [0]).experts.tolist() == [[*range(e.chosen)]]
    certain = np.full((1, STRIDE), 90, np.float32)
    certain[0, 7] = 95
    assert routed(WAYS["sigmoid"], certain, [0]).experts[0, 0] == 7, "by logits, not by scores"


@on_ways
def test_logits_of_any_size_have_shares(e: Experts) -> None:
    logits = logits_of(e) * np.float32(40)

    shares = routed(e, logits, [0] * TOKENS, correction_of(e)).shares

    assert np.isfinite(shares).all() and (shares >= 0).all()


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # numpy says so, a chip does not
@on_ways
def test_what_is_not_a_number_chooses_some_that_there_are(e: Experts) -> None:
    """And changes no other token."""
    logits, correction = logits_of(e), correction_of(e)
    before = routed(e, logits, [0] * TOKENS, correction)
    logits[3], logits[5, 1] = np.nan, np.nan

    found = routed(e, logits, [0] * TOKENS, correction)

    assert ((found.experts >= 0) & (found.experts < e.count)).all()
    others = [0, 1, 2, 4, 6, 7, 8]
    assert np.array_equal(found.experts[others], before.experts[others])
    assert np.array_equal(found.shares[others], before.shares[others])


def test_a_token_that_fills_up_a_graph_has_no_expert() -> None:
    slots = [4, -1, 9, -1, -1, 0, 1, 2, 3]

    found = routed(MANY, logits_of(MANY), slots)

    assert (found.experts[np.array(slots) < 0] == -1).all()
    assert (found.experts[np.array(slots) >= 0] >= 0).all()


def test_the_gate_of_the_mlp_beside_them_stands_behind_their_logits() -> None:
    e, logits = replace(FEW, shared_gate=True), logits_of(FEW)
    logits[:, FEW.count] = np.linspace(-100, 100, TOKENS)

    found = routed(e, logits, [0] * TOKENS)

    with np.errstate(over="ignore"):
        gates = 1 / (1 + np.exp(-logits[:, FEW.count]))
    np.testing.assert_allclose(found.gates, gates, rtol=2e-6, atol=1e-30)
    assert np.array_equal(found.experts, routed(FEW, logits, [0] * TOKENS).experts)


# Their order


def pairs(tokens: int, chosen: int, count: int, seed: int = 0) -> Array:
    """Different ones for each token; some are no token."""
    rng = np.random.default_rng(seed)
    found = np.array([rng.permutation(count)[:chosen] for _ in range(tokens)], np.int32)
    found[rng.random(tokens) < 0.2] = -1
    return found


RANKS = [(0, 12), (0, 5), (5, 7), (11, 1)]
"""First expert and count, of 12."""
LAID = [(1, 3), (2, 3), (7, 2), (23, 5), (40, 12)]
"""Tokens, and how many experts each has."""


@pytest.mark.parametrize(("first", "count"), RANKS)
@pytest.mark.parametrize(("tokens", "chosen"), LAID)
@pytest.mark.parametrize("fewest", [False, True])
def test_each_own_pair_is_in_one_tile_of_its_expert(
    tokens: int, chosen: int, first: int, count: int, fewest: bool
) -> None:
    """In the order of tokens, whichever way tiles are counted; all others are marked empty."""
    given, rows = pairs(tokens, chosen, 12), 8
    most = given.size // rows + count if fewest else given.size
    tiling = Tiling(rows, rows if fewest else 1, int(fewest), most)

    order, tiles = sorted_pairs(given, tiling, first, count)

    flat = given.reshape(-1)
    own = [[p for p in range(flat.size) if flat[p] == first + e] for e in range(count)]
    assert order[: sum(map(len, own))].tolist() == [p for one in own for p in one]
    laid = dict[int, list[int]]()
    for expert, begin, used in tiles.tolist():
        assert 0 <= used <= rows and 0 <= expert < count
        laid[expert] = laid.get(expert, []) + order[begin : begin + used].tolist()
    assert [laid.get(e, []) for e in range(count)] == own


def test_pairs_of_one_expert_alone_fit() -> None:
    """As when a token is no number."""
    given = np.full((20, 3), 2, np.int32)
    for tiling in (Tiling(8, 1, 0, 60), Tiling(8, 8, 1, 60 // 8 + 4)):
        order, tiles = sorted_pairs(given, tiling, 0, 4)

        assert order.tolist() == list(range(60))
        assert sorted(tiles[:, 2].tolist())[-8:] == [4, 8, 8, 8, 8, 8, 8, 8]
        assert tiles[:, 2].sum() == 60


# Their sum


@pytest.mark.parametrize(("beside", "gated"), [(0, False), (1, False), (4, False), (4, True)])
def test_a_token_gets_what_its_experts_have_by_their_shares(beside: int, gated: bool) -> None:
    """And the MLP beside them, by its gate; of experts 2 .. 9, which are a rank's."""
    rng = np.random.default_rng(3)
    chosen = pairs(5, 4, 12)
    chosen[0] = [1, 2, 8, 9]
    found = Routed(chosen, rng.random((5, 4), np.float32), rng.random(5, np.float32))
    y = rng.standard_normal((20, 40)).astype(np.float32)
    own = (chosen >= 2) & (chosen < 9)
    y[~own.reshape(-1)] = np.nan
    parts = rng.standard_normal((max(1, beside), 5, 40)).astype(np.float32)
    shared = parts[:beside].astype(float).sum(0) * (found.gates[:, None] if gated else 1)

    out = blended(y, found, parts, beside, 2, 9, gated)

    weighed = np.where(own[:, :, None], y.reshape(5, 4, 40), 0) * found.shares[:, :, None]
    np.testing.assert_allclose(out, shared + weighed.sum(1), rtol=1e-5, atol=1e-6)
