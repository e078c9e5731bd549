"""Norms, rotary embedding, appended keys and values against numpy, and what keeps their bits."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.pages import FORMATS, KV, PageLayout, decoded
from tests.support.cuda_interpreter import launch
from tests.support.cuda_norms import USUAL
from tests.support.cuda_pages import encoded

from raylax.kernels.cuda.source import pointwise  # isort: skip

Array = npt.NDArray[Any]
EPS = 1e-5


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def add_norm(
    hidden: Array,
    parts: Array,
    weight: Array,
    bias: Array | None = None,
    kind: Any = np.uint16,
    **traits: Any,
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
        **{**USUAL, "TO": 2, **traits},
    )
    return hidden, from_bf16(y) if kind == np.uint16 else y


def final_norm(
    hidden: Array, parts: Array, weight: Array, rows: Array, **traits: Any
) -> tuple[Array, Array]:
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
        **{**USUAL, **traits},
    )
    return y, states


def rms_norm(x: Array, weight: Array | float) -> Array:
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
        scale=1.0,
        positions=None,
        places=None,
        SCALED=False,
        PLACED=False,
        WIDTH=32,
    )

    assert np.array_equal(hidden, from_bf16(table)[[3, 9, 0, 9, 9]])


def test_embeddings_are_scaled_and_those_of_positions_added() -> None:
    table, places = to_bf16(normal(12, 24)), to_bf16(normal(6, 24, seed=1))
    ids, positions = np.array([3, 9], np.int32), np.array([5, 0], np.int32)
    hidden = np.zeros((2, 24), np.float32)

    launch(
        pointwise.embed,
        (2,),
        ids=ids,
        table=table,
        hidden=hidden,
        width=24,
        vocab=12,
        scale=1.7,
        positions=positions,
        places=places,
        SCALED=True,
        PLACED=True,
        WIDTH=32,
    )

    scaled = from_bf16(table)[ids] * np.float32(1.7)
    assert np.array_equal(hidden, scaled + from_bf16(places)[positions])


def layer_norm(x: Array, weight: Array, shift: Array, own: int) -> Array:
    """Over the first numbers of a row; the others are zeros."""
    wide = x[:, :own].astype(float)
    wide -= wide.mean(-1, keepdims=True)
    y = np.zeros(x.shape)
    y[:, :own] = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + EPS)
    return y * weight + shift


@pytest.mark.parametrize("offset", [0, 30.0])
def test_a_layer_norm_takes_off_the_mean_and_keeps_padding_zero(offset: float) -> None:
    """Of 40 numbers of 48, also where they are far from 0."""
    given = hidden, parts, weight, shift = (
        normal(3, 48) + np.float32(offset), normal(2, 3, 48, seed=1), normal(48, seed=2),
        normal(48, seed=3),
    )  # fmt: skip
    for one in given:
        one[..., 40:] = 0
    traits: dict[str, Any] = {"own": 40, "shift": shift, "LAYER": True, "SHIFTED": True}
    total = hidden.astype(float) + parts.sum(0)

    after, y = add_norm(hidden, parts, weight, kind=np.float32, **traits)
    _, states = final_norm(hidden, parts, weight, np.array([2, 0], np.int32), **traits)

    np.testing.assert_allclose(after, total, rtol=1e-6, atol=1e-5)
    expected = layer_norm(total, weight, shift, 40)
    np.testing.assert_allclose(y, expected, atol=2e-5)
    np.testing.assert_allclose(states, expected[[2, 0]], atol=2e-5)
    assert (y[:, 40:] == 0).all()


def test_a_layer_norm_of_what_is_not_finite_is_nan() -> None:
    hidden, ones = normal(3, 32), np.ones(32, np.float32)
    hidden[1, 5] = np.inf

    _, y = add_norm(hidden, normal(0, 3, 32), ones, kind=np.float32, own=32, LAYER=True)

    assert np.isnan(y[1]).all()
    assert np.isfinite(y[[0, 2]]).all()


def test_what_is_added_stands_behind_a_norm_and_is_scaled() -> None:
    hidden, parts, bias = normal(3, 48), normal(4, 3, 48, seed=1), normal(48, seed=2)
    weight, own = normal(48, seed=3), normal(48, seed=4)
    traits: dict[str, Any] = {"after": own, "AFTER": True, "scale": 0.4, "SCALED": True}

    after, y = add_norm(hidden, parts, weight, bias, np.float32, **traits)

    total = hidden + 0.4 * rms_norm(parts.astype(float).sum(0) + bias, own)
    np.testing.assert_allclose(after, total, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(y, rms_norm(total, weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("to", "written"), [(0, False), (1, True)])
def test_products_may_read_the_row_or_nothing(to: int, written: bool) -> None:
    hidden, parts, weight = normal(3, 48), normal(1, 3, 48, seed=1), normal(48, seed=2)

    after, y = add_norm(hidden, parts, weight, kind=np.float32, TO=to)

    assert np.array_equal(after, hidden + parts[0])
    assert np.array_equal(y, after if written else np.zeros_like(y))


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

    def run(
        self, kind: Any = np.uint16, slots: Array | None = None, **norms: Any
    ) -> tuple[Array, Array]:
        """q, and what pages hold as numbers. `norms`: of queries and keys."""
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
            **{"norms": None, "roots": None, "eps": EPS, "QK": 0, **norms},
        )
        return self.plain(q), self.plain(pages)

    def roots(self) -> Array:
        """Of all of a token's queries, and keys."""
        found = np.zeros((4, 2), np.float32)
        launch(
            pointwise.root_of_heads,
            (4, 2),
            parts=self.parts,
            bias=self.bias,
            roots=found,
            tokens=4,
            eps=EPS,
            PARTS=2,
            HAS_BIAS=True,
            HEADS=self.heads,
            KV_HEADS=self.kv_heads,
            D=self.dim,
            WIDTH=1 << (self.heads * self.dim - 1).bit_length(),
        )
        return found

    def plain(self, x: Array) -> Array:
        if x.dtype == np.int8:
            return decoded(x, self.kv) * self.scales[..., None]
        return from_bf16(x) if x.dtype == np.uint16 else x.astype(np.float32)

    def expected(self, norm: Any = None) -> tuple[Array, Array]:
        """What was turned, and what was not. `norm`: of queries and keys."""
        x = self.parts[0] + self.parts[1] + from_bf16(self.bias)
        if norm is not None:
            x[:, : self.heads] = norm(x[:, : self.heads], 0)
            keys = slice(self.heads, self.heads + self.kv_heads)
            x[:, keys] = norm(x[:, keys], 1)
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


@pytest.mark.parametrize("heads, kv_heads, dim", SHAPES)
@pytest.mark.parametrize("whole", [False, True])
def test_queries_and_keys_stand_behind_norms(
    heads: int, kv_heads: int, dim: int, whole: bool
) -> None:
    """Of each head, or of all heads of a token; values do not."""
    append = Append(heads, kv_heads, dim)
    of_head, of_all = normal(2, dim, seed=7), normal(heads + kv_heads, dim, seed=8)

    def norm(x: Array, of_key: int) -> Array:
        if not whole:
            return rms_norm(x, of_head[of_key])
        flat = rms_norm(x.reshape(4, -1), 1.0).reshape(x.shape)
        return flat * of_all[heads * of_key : heads * of_key + x.shape[1]]

    given: dict[str, Any] = {"norms": of_head, "QK": 1}
    if whole:
        given = {"norms": of_all, "roots": append.roots(), "QK": 2}
    q, pages = append.run(**given)

    turned, straight = append.expected(norm)
    np.testing.assert_allclose(q, turned[:, :heads], rtol=1e-2, atol=2e-2)
    for t, slot in enumerate(append.slots[:3].tolist()):
        k, v = pages[slot // 16, :, :, slot % 16]
        np.testing.assert_allclose(k, turned[t, heads : heads + kv_heads], rtol=1e-2, atol=2e-2)
        np.testing.assert_allclose(v, straight[t, heads + kv_heads :], rtol=1e-2, atol=2e-2)


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
