"""Norms, rotary embedding, appended keys and values against numpy, and what keeps their bits."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.pages import FORMATS, KV, PageLayout, decoded
from tests.support.cuda_interpreter import launch
from tests.support.cuda_pages import encoded

from raylax.kernels.cuda.source import pointwise  # isort: skip

Array = npt.NDArray[Any]
EPS = 1e-5


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def add_norm(
    hidden: Array, parts: Array, weight: Array, bias: Array | None = None, kind: Any = np.uint16
) -> tuple[Array, Array]:
    """The residual after it, and y."""
    (tokens, width), hidden = hidden.shape, hidden.copy()
    y = np.zeros((tokens, width), kind)
    launch(
        pointwise.add_norm,
        (tokens,),
        hidden=hidden,
        parts=parts,
        bias=weight if bias is None else bias,
        weight=weight,
        y=y,
        tokens=tokens,
        width=width,
        eps=EPS,
        PARTS=len(parts),
        HAS_BIAS=bias is not None,
        WIDTH=1 << (width - 1).bit_length(),
    )
    return hidden, from_bf16(y) if kind == np.uint16 else y


def final_norm(hidden: Array, parts: Array, weight: Array, rows: Array) -> tuple[Array, Array]:
    width = hidden.shape[1]
    y = np.zeros((len(rows), width), np.uint16)
    states = np.full((len(rows), width), 7, np.float32)
    launch(
        pointwise.final_norm,
        (len(rows),),
        hidden=hidden,
        parts=parts,
        bias=weight,
        weight=weight,
        rows=rows,
        y=y,
        states=states,
        tokens=len(hidden),
        width=width,
        eps=EPS,
        PARTS=len(parts),
        HAS_BIAS=False,
        WIDTH=1 << (width - 1).bit_length(),
    )
    return y, states


def rms_norm(x: Array, weight: Array) -> Array:
    wide = x.astype(float)
    y: Array = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + EPS) * weight
    return y


@pytest.mark.parametrize("parts, has_bias", [(0, False), (1, False), (3, True)])
@pytest.mark.parametrize("kind", [np.uint16, np.float16])
def test_add_norm(parts: int, has_bias: bool, kind: Any) -> None:
    hidden, added, weight = normal(3, 48), normal(parts, 3, 48, seed=1), normal(48, seed=2)
    bias = normal(48, seed=3) if has_bias else None

    after, y = add_norm(hidden, added, weight, bias, kind)

    total = hidden.astype(float) + added.sum(0) + (0 if bias is None else bias)
    np.testing.assert_allclose(after, total, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(y, rms_norm(total, weight), rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-3, 1.0, 1e4, 1e15])
def test_a_norm_is_right_for_numbers_of_any_size(size: float) -> None:
    hidden, weight = normal(2, 64) * np.float32(size), np.ones(64, np.float32)

    _, y = add_norm(hidden, normal(0, 2, 64), weight, kind=np.float32)

    np.testing.assert_allclose(y, rms_norm(hidden, weight), rtol=1e-6)


def test_a_norm_of_zeros_is_zero_and_of_what_is_not_finite_is_nan() -> None:
    hidden = normal(4, 32)
    hidden[0], hidden[1, 5], hidden[2, 7] = 0, np.inf, np.nan

    _, y = add_norm(hidden, normal(0, 4, 32), np.ones(32, np.float32), kind=np.float32)

    assert (y[0] == 0).all()
    assert np.isnan(y[1:3]).all()
    assert np.isfinite(y[3]).all()


def test_the_sum_of_squares_has_no_order() -> None:
    """So no layout of threads can change a bit."""
    hidden, weight = normal(4, 128) * np.exp(2 * normal(4, 128, seed=5)), normal(128, seed=2)
    order = np.random.default_rng(9).permutation(128)
    none = normal(0, 4, 128)

    _, y = add_norm(hidden, none, weight, kind=np.float32)
    _, shuffled = add_norm(hidden[:, order].copy(), none, weight[order].copy(), kind=np.float32)

    assert np.array_equal(y[:, order], shuffled)


def test_segments_add_to_what_their_sum_does() -> None:
    """A product leaves its segments or, for many tokens, their sum: a row has the same bits."""
    hidden, parts, weight = normal(3, 32), normal(4, 3, 32, seed=1), normal(32, seed=2)
    parts[:, 0] = hidden[0] = -0.0
    total = np.zeros((1, 3, 32), np.float32)
    for part in parts:
        total[0] += part

    apart, one = add_norm(hidden, parts, weight), add_norm(hidden, total, weight)

    for a, b in zip(apart, one, strict=True):
        assert np.array_equal(a.view(np.int32), b.view(np.int32))


def test_the_final_norm_is_of_the_rows_that_are_wanted() -> None:
    hidden, parts, weight = normal(5, 48), normal(2, 5, 48, seed=1), normal(48, seed=2)
    rows = np.array([4, -1, 0, 4], np.int32)
    _, all_y = add_norm(hidden, parts, weight)

    y, states = final_norm(hidden, parts, weight, rows)

    assert np.array_equal(from_bf16(y)[[0, 2, 3]], all_y[[4, 0, 4]])
    assert np.array_equal(to_bf16(states)[[0, 2, 3]], y[[0, 2, 3]])
    expected = rms_norm(hidden + parts.sum(0), weight)[rows]
    np.testing.assert_allclose(states[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-5, atol=1e-6)
    assert (states[1] == 7).all()
    assert (y[1] == 0).all()


def test_embed_reads_no_row_that_there_is_not() -> None:
    table = to_bf16(normal(12, 24))
    ids, hidden = np.array([3, 9, -5, 10, 2**31 - 1], np.int32), np.zeros((5, 24), np.float32)

    launch(
        pointwise.embed,
        (5,),
        ids=ids,
        table=table,
        hidden=hidden,
        width=24,
        vocab=10,
        WIDTH=32,
    )

    assert np.array_equal(hidden, from_bf16(table)[[3, 9, 0, 9, 9]])


class Append:
    """A step's tokens, and pages to which their keys and values are appended."""

    positions = np.array([0, 7, 33, 1], np.int32)
    slots = np.array([5, 20, 47, -1], np.int32)

    def __init__(self, heads: int, kv_heads: int, dim: int, kv: KV = "plain") -> None:
        self.heads, self.kv_heads, self.dim, self.kv = heads, kv_heads, dim, kv
        self.parts = normal(2, 4, heads + 2 * kv_heads, dim)
        self.bias = to_bf16(normal(heads + 2 * kv_heads, dim, seed=1))
        angles = np.arange(40)[:, None] * 0.3 ** np.arange(dim // 2)[None]
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self.layout = PageLayout(1, kv_heads, dim, kv)
        self.scales = np.full(self.layout.scales(3), np.nan, np.float32)

    def run(self, kind: Any = np.uint16, slots: Array | None = None) -> tuple[Array, Array]:
        """q, and what pages hold as numbers."""
        q = np.zeros((4, self.heads, self.dim), kind)
        pages = np.zeros(self.layout.codes(3), np.int8 if self.layout.has_scales else kind)
        launch(
            pointwise.rope_append,
            (4, -(-(self.heads + 2 * self.kv_heads) // 8)),
            parts=self.parts,
            bias=self.bias,
            positions=self.positions,
            slots=self.slots if slots is None else slots,
            cos=self.cos,
            sin=self.sin,
            q=q,
            pages=pages,
            scales=self.scales,
            tokens=4,
            PARTS=2,
            HAS_BIAS=True,
            HEADS=self.heads,
            KV_HEADS=self.kv_heads,
            D=self.dim,
            PAGE=16,
            KV=FORMATS[self.kv],
            BLOCK=8,
        )
        return self.plain(q), self.plain(pages)

    def plain(self, x: Array) -> Array:
        if x.dtype == np.int8:
            return decoded(x, self.kv) * self.scales[..., None]
        return from_bf16(x) if x.dtype == np.uint16 else x.astype(np.float32)

    def expected(self) -> tuple[Array, Array]:
        """What was turned, and what was not."""
        x = self.parts[0] + self.parts[1] + from_bf16(self.bias)
        low, high = x[..., : self.dim // 2], x[..., self.dim // 2 :]
        c, s = self.cos[self.positions][:, None], self.sin[self.positions][:, None]
        return np.concatenate([low * c - high * s, high * c + low * s], -1), x


SHAPES = [(6, 2, 16), (3, 3, 80), (7, 1, 32)]


@pytest.mark.parametrize("heads, kv_heads, dim", SHAPES)
@pytest.mark.parametrize("kind", [np.uint16, np.float16])
def test_rope_append(heads: int, kv_heads: int, dim: int, kind: Any) -> None:
    append = Append(heads, kv_heads, dim)
    if kind == np.float16:
        append.bias = from_bf16(append.bias).astype(np.float16)
        bias = to_bf16(append.bias.astype(np.float32))

    q, pages = append.run(kind)

    if kind == np.float16:
        append.bias = bias
    turned, straight = append.expected()
    np.testing.assert_allclose(q, turned[:, :heads], rtol=1e-2, atol=1e-2)
    for t, slot in enumerate(append.slots[:3].tolist()):
        k, v = pages[slot // 16, :, :, slot % 16]
        np.testing.assert_allclose(k, turned[t, heads : heads + kv_heads], rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(v, straight[t, heads + kv_heads :], rtol=1e-2, atol=1e-2)
    assert (pages != 0).any(-1).sum() == 3 * 2 * kv_heads


@pytest.mark.parametrize("kv, most", [("int8", 127), ("fp8", 448)])
def test_bytes_are_rounded_to_the_largest_of_their_token_and_head(kv: KV, most: int) -> None:
    append = Append(6, 2, 16, kv)

    _, pages = append.run()

    turned, straight = append.expected()
    for t, slot in enumerate(append.slots[:3].tolist()):
        k, v = pages[slot // 16, :, :, slot % 16]
        for found, exact in ((k, turned[t, 6:8]), (v, straight[t, 8:])):
            largest = np.abs(exact).max(-1, keepdims=True)
            unit = largest / 127 / 2 if kv == "int8" else np.abs(exact) / 16 + largest / 448 / 1024
            assert (np.abs(found - exact) <= unit * 1.001).all()
            codes, scales = encoded(exact, kv)
            assert np.array_equal(found, decoded(codes, kv) * scales[..., None])
    written = np.isfinite(append.scales)
    assert written.sum() == 3 * 2 * 2
    assert np.allclose(append.scales[0, 0, :, 5], np.abs(turned[0, 6:8]).max(-1) / most)


@pytest.mark.parametrize("kv", ["int8", "fp8"])
def test_bytes_of_a_token_do_not_follow_from_what_else_is_in_its_page(kv: KV) -> None:
    together, apart = Append(4, 2, 16, kv), Append(4, 2, 16, kv)

    _, pages = together.run(slots=np.array([3, 4, 5, 6], np.int32))
    _, alone = apart.run(slots=np.array([-1, 4, -1, -1], np.int32))

    assert np.array_equal(pages[0, :, :, 4], alone[0, :, :, 4])


@pytest.mark.parametrize("kv", ["plain", "int8", "fp8"])
def test_zeros_stay_zeros_and_nan_is_not_hidden(kv: KV) -> None:
    append = Append(4, 2, 16, kv)
    append.bias[:] = 0
    append.parts[:, 0], append.parts[0, 1, :, 3] = 0, np.nan

    _, pages = append.run()

    assert (pages[0, :, :, 5] == 0).all()
    assert np.isnan(pages[1, :, :, 4]).any(-1).all()
    assert np.isfinite(pages[2, :, :, 15]).all()


def test_without_a_slot_no_key_is_written() -> None:
    append = Append(4, 2, 16, "int8")

    _, pages = append.run(slots=np.full(4, -1, np.int32))

    assert np.isnan(append.scales).all()
    assert np.isnan(pages).all()
