"""Products with weights of any format against numpy, and a row's bits in every batch and tile."""

import numpy as np
import pytest

from raylax.kernels.cuda.formats.base import Format, Packed, widened
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.matrix_unit import AMPERE, HOPPER, MatrixUnit
from tests.support.cuda_interpreter import matrix_unit
from tests.support.cuda_products import FORMATS, PRECISIONS, Array, Tile, gated, linear, numbers

FEATURES = 24
"""No multiple of any tile."""
DEPTH = 256
DENSE = [Dense(precision) for precision in PRECISIONS]
named = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
UNITS = {"hopper": HOPPER, "ampere": AMPERE}
on_units = pytest.mark.parametrize(
    ("form", "unit"),
    [
        pytest.param(form, unit, id=f"{form.name}-{name}")
        for name, unit in UNITS.items()
        for form in FORMATS
        if unit is HOPPER or isinstance(form, Dense) or form.precision == "bf16"
    ],
)


def weights(form: Format, features: int = FEATURES, depth: int = DEPTH) -> Packed:
    rng = np.random.default_rng(1)
    return form.pack(rng.standard_normal((features, depth), np.float32) * np.float32(0.25))


def exact(form: Format, x: Array, w: Packed) -> Array:
    """In float64, with what the kernels multiply."""
    wide = form.unpack(w, x.shape[1]).astype(float)
    product: Array = widened(x, form.precision).astype(float) @ wide.T
    return product


@pytest.mark.parametrize("tokens, tile", [(3, Tile(8, 16)), (17, Tile(16, walk=True))])
@named
def test_linear_is_right(form: Format, tokens: int, tile: Tile) -> None:
    """With a bias, which the first segment gets; NaN where nothing was written."""
    x, w, bias = numbers(form, tokens, DEPTH), weights(form), numbers(form, FEATURES, seed=2)

    y = linear(form, x, w, FEATURES, 2, tile, bias)

    expected = exact(form, x, w) + widened(bias, form.precision)
    assert np.linalg.norm(y - expected) < 2e-6 * np.linalg.norm(expected)


@named
def test_gated_is_right(form: Format) -> None:
    x, w = numbers(form, 5, DEPTH, scale=0.3), weights(form, 2 * FEATURES)

    y = widened(gated(form, x, w, FEATURES, rounded=True), form.precision)

    gate, up = np.split(exact(form, x, w), 2, axis=1)
    np.testing.assert_allclose(y, gate / (1 + np.exp(-gate)) * up, rtol=8e-3, atol=1e-3)


def batches(form: Format) -> list[tuple[int, Tile]]:
    """Batches with a row 7, and how they are computed. Packed weights take longer, and are held to
    dense ones besides (`test_quantised.py`)."""
    most = [(16, Tile(16, 16, walk=True)), (8, Tile(8))]
    if isinstance(form, Dense):
        most += [(n, Tile(16, 32, 64 << n % 2, n % 3 == 0)) for n in range(9, 40, 6)]
        most += [(40, Tile(32, 16, 32, walk=True)), (40, Tile(64, 16, 16))]
    return most


@on_units
def test_a_row_has_the_same_bits_in_every_batch_tile_and_division(
    form: Format, unit: MatrixUnit
) -> None:
    """Law 1, with the segments of the matrix."""
    x, w, bias = numbers(form, 40, DEPTH), weights(form), numbers(form, FEATURES, seed=2)

    with matrix_unit(unit):
        alone = linear(form, x[7:8].copy(), w, FEATURES, 2, bias=bias)
        for tokens, tile in batches(form):
            row = linear(form, x[:tokens].copy(), w, FEATURES, 2, tile, bias)[7]
            assert np.array_equal(row, alone[0]), (tokens, tile)


@on_units
def test_a_gated_row_has_the_same_bits_in_every_batch_and_tile(
    form: Format, unit: MatrixUnit
) -> None:
    x, w = numbers(form, 40, DEPTH, scale=0.3), weights(form, 2 * FEATURES)

    with matrix_unit(unit):
        alone = gated(form, x[7:8].copy(), w, FEATURES)
        for tokens, tile in batches(form)[::2]:
            row = gated(form, x[:tokens].copy(), w, FEATURES, tile)[7]
            assert np.array_equal(row, alone[0]), (tokens, tile)


@pytest.mark.parametrize("form", DENSE, ids=lambda form: form.name)
def test_segments_are_part_of_the_result(form: Format) -> None:
    """So they must never follow from the batch."""
    x, w = numbers(form, 1, DEPTH), weights(form)

    with matrix_unit(HOPPER):
        assert not np.array_equal(linear(form, x, w, FEATURES, 2), linear(form, x, w, FEATURES, 1))


@pytest.mark.parametrize("form", DENSE, ids=lambda form: form.name)
def test_what_lies_behind_a_matrix_and_its_segments_is_not_read(form: Format) -> None:
    """Inputs that are no multiple of a tile, of 2 segments that are none either: infinities beyond
    the ends of rows would make their sums no numbers."""
    depth = 2 * 48
    x, w = numbers(form, 3, depth), weights(form, FEATURES, depth)
    behind = np.full(4096, 0x7C00 if form.precision == "f16" else 0x7F80, np.uint16)
    apart = [np.concatenate([part.view(np.uint16).ravel(), behind]) for part in (x, w["w"])]
    x_long, w_long = (part.view(x.dtype)[: part.size - 4096] for part in apart)

    with matrix_unit(HOPPER):
        alone = linear(form, x, w, FEATURES, 2, Tile(8, 16, 16))
        y = linear(
            form, x_long.reshape(x.shape), {"w": w_long.reshape(w["w"].shape)}, FEATURES, 2,
            Tile(8, 16, 128, walk=True),
        )  # fmt: skip

    assert np.array_equal(y, alone)
