"""Products with weights against numpy, and a row's bits in every batch and tile."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.matrix_unit import AMPERE, HOPPER, MatrixUnit
from tests.support.cuda_interpreter import launch, matrix_unit

from raylax.kernels.cuda.source import matmul  # isort: skip

Array = npt.NDArray[Any]
FEATURES, DEPTH = 128, 512


def bf16(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    rng = np.random.default_rng(seed)
    return to_bf16(rng.standard_normal(shape, np.float32) * np.float32(scale))


def linear(
    x: Array,
    w: Array,
    segments: int = 1,
    apart: bool = False,
    tile: tuple[int, int, int] = (8, 64, 64),
    bias: Array | None = None,
) -> Array:
    tokens, (features, depth) = len(x), w.shape
    y = np.full((segments if apart else 1, tokens, features), np.nan, np.float32)
    BM, BN, BK = tile
    tiles = -(-tokens // BM) * -(-features // BN)
    launch(
        matmul.linear,
        (tiles, len(y)),
        x=x,
        w=w,
        bias=w if bias is None else bias,
        y=y,
        tokens=tokens,
        features=features,
        depth=depth,
        BM=BM,
        BN=BN,
        BK=BK,
        SEGMENTS=segments,
        APART=apart,
        GROUP=8,
        HAS_BIAS=bias is not None,
    )
    return upwards(y)


def upwards(parts: Array) -> Array:
    """The sum of segments, in the order in which readers add them."""
    total: Array = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


@pytest.mark.parametrize("tokens, BM", [(1, 8), (3, 8), (17, 16), (33, 32)])
def test_linear_is_right(tokens: int, BM: int) -> None:
    x, w, bias = bf16(tokens, DEPTH), bf16(FEATURES, DEPTH, seed=1), bf16(FEATURES, seed=2)

    with matrix_unit(HOPPER):
        y = linear(x, w, tile=(BM, 64, 64), bias=bias)

    expected = from_bf16(x).astype(float) @ from_bf16(w).astype(float).T + from_bf16(bias)
    assert np.linalg.norm(y - expected) < 2e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("unit", [HOPPER, AMPERE])
def test_a_row_has_the_same_bits_in_every_batch_tile_and_cut(unit: MatrixUnit) -> None:
    x, w = bf16(40, DEPTH), bf16(FEATURES, DEPTH, seed=1)

    with matrix_unit(unit):
        alone = linear(x[7:8].copy(), w, 4, True)
        for tokens, tile, apart in [
            (40, (8, 64, 64), True),
            (40, (64, 128, 32), False),
            (12, (16, 64, 128), False),
            (9, (32, 64, 64), True),
        ]:
            assert np.array_equal(linear(x[:tokens].copy(), w, 4, apart, tile)[7], alone[0])


def test_segments_are_part_of_the_result() -> None:
    """So they must never follow from the batch."""
    x, w = bf16(1, DEPTH), bf16(FEATURES, DEPTH, seed=1)

    with matrix_unit(HOPPER):
        assert not np.array_equal(linear(x, w, segments=4), linear(x, w, segments=1))


def test_gated() -> None:
    tokens, features = 5, 64
    x, w = bf16(tokens, DEPTH, scale=0.1), bf16(2 * features, DEPTH, seed=1)
    y = np.zeros((tokens, features), np.uint16)

    launch(
        matmul.gated,
        (1,),
        x=x,
        w=w,
        y=y,
        tokens=tokens,
        features=features,
        depth=DEPTH,
        BM=8,
        BN=64,
        BK=64,
        GROUP=8,
    )

    both = from_bf16(x).astype(float) @ from_bf16(w).astype(float).T
    gate, up = both[:, :features], both[:, features:]
    np.testing.assert_allclose(from_bf16(y), gate / (1 + np.exp(-gate)) * up, rtol=8e-3, atol=1e-3)
