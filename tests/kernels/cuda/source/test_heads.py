"""What draft heads compute between products, against numpy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16
from raylax.kernels.cuda.variants.heads import KEPT, Kept, pieces
from tests.support.cuda_interpreter import launch
from tests.support.cuda_norms import USUAL

from raylax.kernels.cuda.source import heads, pointwise  # isort: skip

Array = npt.NDArray[Any]
EPS = 1e-5


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def rms_norm(x: Array, weight: Array) -> Array:
    wide = x.astype(float)
    y: Array = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + EPS) * weight
    return y


def take(
    hidden: Array,
    parts: Array,
    bias: Array | None,
    weight: Array | None,
    kept: Kept,
    stride: int = 0,
    kind: Any = np.float32,
) -> tuple[Array, Array]:
    """What hidden is afterwards, and y, whose rows are so long."""
    (tokens, width), hidden = hidden.shape, hidden.copy()
    y = np.full((tokens, stride or width), 7, kind)
    launch(
        heads.take,
        (tokens,),
        hidden=hidden,
        parts=parts,
        bias=bias,
        weight=weight,
        y=y,
        tokens=tokens,
        width=width,
        stride=stride or width,
        eps=EPS,
        PARTS=len(parts),
        HAS_BIAS=bias is not None,
        NORM=weight is not None,
        KEPT=KEPT[kept],
        WIDTH=1 << (width - 1).bit_length(),
    )
    return hidden, y


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("kept", list(KEPT))
def test_rows_are_taken(parts: int, biased: bool, norm: bool, kept: Kept) -> None:
    """Sums in the place of what was there, or not; a row of y may be longer."""
    hidden, added, bias = normal(3, 48), normal(parts, 3, 48, seed=1), normal(48, seed=3)
    weight = normal(48, seed=2) if norm else None

    after, y = take(hidden, added, bias if biased else None, weight, kept, 80)

    row = added.sum(0) + (bias if biased else 0)
    read = row if weight is None else rms_norm(row, weight)
    expected = {"nothing": hidden, "the row": row, "what is read": read}[kept]
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y[:, :48], read, rtol=1e-5, atol=1e-6)
    assert (y[:, 48:] == 7).all()


def test_what_products_read_is_in_their_precision() -> None:
    rows = normal(1, 2, 32)
    _, y = take(rows[0], rows, None, None, "nothing", kind=np.uint16)

    np.testing.assert_allclose(from_bf16(y), rows[0], rtol=2**-8)


def test_segments_add_to_what_their_sum_does() -> None:
    """A product leaves its segments or, for many tokens, their sum: a row has the same bits."""
    hidden, parts, bias = normal(3, 32), normal(4, 3, 32, seed=1), normal(32, seed=2)
    parts[:, 0] = -0.0
    total = np.zeros((1, 3, 32), np.float32)
    for part in parts:
        total[0] += part

    apart, one = (take(hidden, some, bias, bias, "the row") for some in (parts, total))

    for a, b in zip(apart, one, strict=True):
        assert np.array_equal(a.view(np.int32), b.view(np.int32))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("behind", [True, False])
def test_a_layer_leaves_what_logits_and_the_next_step_are_made_of(norm: bool, behind: bool) -> None:
    """Of the rows that are wanted; with the bits of a decoder's last norm."""
    hidden, parts, weight = normal(5, 48), normal(2, 5, 48, seed=1), normal(48, seed=2)
    rows = np.array([4, -1, 0], np.int32)
    y, states = np.full((3, 48), 7, np.float32), np.full((3, 48), 7, np.float32)
    width = {"tokens": 5, "width": 48, "eps": EPS, "PARTS": 2, "WIDTH": 64}
    given = {"hidden": hidden, "parts": parts, "weight": weight, "rows": rows}
    launch(heads.go_on, (3,), **given, y=y, states=states, **width, NORM=norm, BEHIND=behind)

    total = (hidden + parts.sum(0))[[4, 0]]
    normed = rms_norm(total, weight) if norm else total
    np.testing.assert_allclose(y[[0, 2]], normed, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states[[0, 2]], normed if behind else total, rtol=1e-5, atol=1e-6)
    assert (y[1] == 7).all() and (states[1] == 7).all()
    if norm:
        decoders, same = np.full_like(y, 7), np.full_like(y, 7)
        both = {"bias": weight, "y": decoders, "states": same, **width}
        launch(pointwise.final_norm, (3,), **given, **both, HAS_BIAS=False, **USUAL)
        assert np.array_equal(y, decoders)


def test_a_block_of_medusas_goes_on_from_what_it_adds_to() -> None:
    hidden, parts, bias = normal(3, 48), normal(4, 3, 48, seed=1), normal(48, seed=2)
    after, y = hidden.copy(), np.zeros_like(hidden)
    given = {"hidden": after, "parts": parts, "bias": bias, "y": y, "tokens": 3, "width": 48}
    launch(heads.residual, (3,), **given, PARTS=4, WIDTH=64)

    z = (parts.sum(0) + bias).astype(float)
    np.testing.assert_allclose(after, hidden + z / (1 + np.exp(-z)), rtol=1e-5, atol=1e-6)
    assert np.array_equal(y, after)


def test_logits_of_few_tokens_lie_among_all() -> None:
    named = normal(2, 32)
    places = np.full(80, -1, np.int32)
    places[[3, 9, 64, 70]] = [0, 2, 1, 31]
    logits = np.zeros((2, 80), np.float32)
    given = {"named": named, "places": places, "logits": logits, "few": 32, "stride": 80}
    launch(heads.spread, (2, 2), **given, BLOCK=64)

    expected = np.full((2, 80), -np.inf, np.float32)
    expected[:, [3, 9, 64, 70]] = named[:, [0, 2, 1, 31]]
    assert np.array_equal(logits, expected)


@pytest.mark.parametrize(
    ("width", "count"), [(16, 1), (304, 1), (16384, 1), (24576, 2), (49152, 3), (16 * 1031, 1031)]
)
def test_what_is_wider_than_a_kernel_takes_is_cut_evenly(width: int, count: int) -> None:
    assert pieces(width) == count
