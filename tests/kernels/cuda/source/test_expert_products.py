"""Products of experts with weights of any format against numpy, and a row's bits in every batch."""

import numpy as np
import pytest

from raylax.kernels.cuda.formats.base import Format, Packed, narrowed, widened
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.matrix_unit import AMPERE, HOPPER, MatrixUnit
from tests.support.cuda_experts import Array, Tile, Units, through_experts
from tests.support.cuda_interpreter import matrix_unit
from tests.support.cuda_products import FORMATS, numbers

HIDDEN, UNITS, COUNT = 128, 256, 3
"""Of both matrices; a tile may have more rows than one of them."""
named = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


def matrices(form: Format, rows: int, depth: int, seed: int) -> list[Packed]:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((COUNT, rows, depth), np.float32) * np.float32(0.1)
    return [form.pack(one) for one in drawn]


def weights(form: Format) -> tuple[list[Packed], list[Packed]]:
    return matrices(form, 2 * UNITS, HIDDEN, 1), matrices(form, HIDDEN, UNITS, 2)


def chosen(tokens: int, each: int = 2, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(COUNT)[:each] for _ in range(tokens)], np.int32)


def exact(form: Format, x: Array, packed: Packed, depth: int) -> Array:
    """In float64, with what the kernels multiply."""
    product: Array = widened(x, form.precision).astype(float) @ form.unpack(packed, depth).T
    return product


@pytest.mark.parametrize("tile", [Tile(8, 256), Tile(16, 32, 32, fewest=True)])
@named
def test_each_token_goes_through_its_experts(form: Format, tile: Tile) -> None:
    x, (into, out), given = numbers(form, 5, HIDDEN), weights(form), chosen(5)

    between, y = through_experts(form, x, into, out, given, UNITS, tile)

    for pair, expert in enumerate(given.reshape(-1)):
        gate, up = np.split(exact(form, x[pair // 2], into[expert], HIDDEN), 2)
        own = widened(between[pair], form.precision)
        np.testing.assert_allclose(own, gate / (1 + np.exp(-gate)) * up, rtol=1e-2, atol=4e-3)
        expected = exact(form, between[pair], out[expert], UNITS)
        assert np.linalg.norm(y[pair] - expected) < 2e-6 * np.linalg.norm(expected)


def test_biases_are_an_experts_own() -> None:
    """Those of gates before those of what they gate; a product without any has a null pointer."""
    form = Dense("bf16")
    x, (into, out), given = numbers(form, 4, HIDDEN), weights(form), chosen(4)
    biases = numbers(form, COUNT, 2 * UNITS, seed=5), numbers(form, COUNT, HIDDEN, seed=6)

    between, y = through_experts(form, x, into, out, given, UNITS, biases=biases)

    for pair, expert in enumerate(given.reshape(-1)):
        both = exact(form, x[pair // 2], into[expert], HIDDEN)
        gate, up = np.split(both + widened(biases[0][expert], "bf16"), 2)
        own = widened(between[pair], "bf16")
        np.testing.assert_allclose(own, gate / (1 + np.exp(-gate)) * up, rtol=1e-2, atol=1e-2)
        expected = exact(form, between[pair], out[expert], UNITS)
        expected += widened(biases[1][expert], "bf16")
        assert np.linalg.norm(y[pair] - expected) < 2e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("how", [Units(limit=0.7, slope=1.7, offset=1.0), Units("gelu_tanh")])
def test_units_are_what_a_model_has(how: Units) -> None:
    """Of gpt-oss: clamped on both sides, but gates from above alone."""
    form = Dense("bf16")
    x, (into, out), given = numbers(form, 6, HIDDEN), weights(form), chosen(6)

    between, _ = through_experts(form, x, into, out, given, UNITS, how=how)

    for pair, expert in enumerate(given.reshape(-1)):
        gate, up = np.split(exact(form, x[pair // 2], into[expert], HIDDEN), 2)
        gate, up = np.minimum(gate, how.limit), np.clip(up, -how.limit, how.limit)
        if how.activation == "silu":
            gate = gate / (1 + np.exp(-how.slope * gate))
        else:
            inner = (2 / np.pi) ** 0.5 * (gate + 0.044715 * gate**3)
            gate = gate * (1 + np.tanh(inner)) / 2
        expected = gate * (up + how.offset)
        np.testing.assert_allclose(widened(between[pair], "bf16"), expected, rtol=1e-2, atol=6e-3)


def test_what_is_not_a_number_is_one_tokens_alone() -> None:
    form = Dense("bf16")
    x, (into, out), given = numbers(form, 6, HIDDEN), weights(form), chosen(6)
    before = through_experts(form, x, into, out, given, UNITS)[1]
    x[2, 5] = narrowed(np.full(1, np.nan, np.float32), "bf16")[0]

    y = through_experts(form, x, into, out, given, UNITS)[1]

    assert np.isnan(y[4:6]).all()
    assert np.array_equal(np.delete(y, [4, 5], 0), np.delete(before, [4, 5], 0))


WAYS = [
    pytest.param(form, unit, id=f"{form.name}-{name}")
    for name, unit in {"hopper": HOPPER, "ampere": AMPERE}.items()
    for form in FORMATS
    if isinstance(form, Dense) or (unit is HOPPER) == (form.precision == "bf16")
]


@pytest.mark.parametrize(("form", "unit"), WAYS)
def test_a_row_has_the_same_bits_whatever_shares_its_experts(
    form: Format, unit: MatrixUnit
) -> None:
    """Law 1: alone, or among others, in tiles of any size, wherever it stands in them."""
    x, (into, out), given = numbers(form, 20, HIDDEN, scale=0.5), weights(form), chosen(20)

    with matrix_unit(unit):
        alone = through_experts(form, x[7:8].copy(), into, out, given[7:8].copy(), UNITS)
        for first, tile in ((0, Tile(16, 32, 32)), (6, Tile(8, 64, fewest=True))):
            some = slice(first, 20 if isinstance(form, Dense) else 9)
            parts = x[some].copy(), into, out, given[some].copy()
            found = through_experts(form, *parts, UNITS, tile)
            own = slice(2 * (7 - first), 2 * (7 - first) + 2)
            for mine, whole in zip(alone, found, strict=True):
                assert np.array_equal(mine, whole[own])
