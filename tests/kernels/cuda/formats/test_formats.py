"""How weights are packed for a GPU. That kernels multiply what `unpack` gives, tests of their own
say (`source/test_quantised.py`)."""

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.checkpoints.groups import packed
from raylax.kernels.checkpoints.quantised.e2m1 import E2M1, to_e2m1
from raylax.kernels.cpu.formats import grouped as on_cpu
from raylax.kernels.cuda.formats import NAMES, SAME, quantization_named
from raylax.kernels.cuda.formats.base import Format, Precision, size
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.formats.planes import digits, packed_planes, words_of
from raylax.kernels.cuda.formats.shards import (
    check_cuts,
    check_groups,
    head_rows,
    packed_part,
    part_of,
)
from raylax.kernels.e4m3 import from_e4m3, to_e4m3
from raylax.kernels.errors import CompileError
from raylax.kernels.shards import Degree
from raylax.kernels.spec import DecoderSpec, Experts, Rope
from tests.support.cuda_products import FORMATS, PACKED, PRECISIONS

Floats = npt.NDArray[np.float32]
ROWS, DEPTH = 48, 384
named = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
STEP = {4: 0.2, 8: 0.51 / 127}
FLOAT_STEP = {4: (1 / 4, 1 / 4), 8: (1 / 16, 2.0**-18)}
"""What rounding may cost, of the largest weight of a group; of floats, of the weight, too. Of 4
bits the largest may lie beyond the last code."""


def weights(rows: int = ROWS, depth: int = DEPTH, seed: int = 3) -> Floats:
    out = np.random.default_rng(seed).standard_normal((rows, depth), np.float32)
    out[5] = 0
    return out


@named
def test_weights_are_kept_within_a_rounding_step(form: Format) -> None:
    """Zeros stay zeros."""
    w = weights()

    kept = form.unpack(form.pack(w), DEPTH)

    most = np.abs(w) * (2.0**-8 if form.precision == "bf16" else 2.0**-11)
    if isinstance(form, Grouped):
        largest = np.abs(w.reshape(ROWS, -1, form.group)).max(2).repeat(form.group, 1)
        own, of_largest = FLOAT_STEP[form.bits]
        most = most + (
            np.abs(w) * own + largest * of_largest if form.floats else STEP[form.bits] * largest
        )
    assert (np.abs(kept - w) <= most + 1e-7).all()
    assert not kept[5].any()


@pytest.mark.parametrize("bits", [4, 8])
def test_digits_and_scales_are_those_of_the_cpu(bits: Literal[4, 8]) -> None:
    """In groups of 32: f16 holds a product of both exactly, of 4 bits, and bf16 rounds it once."""
    w = weights(64, 256)
    exact = on_cpu.rounded(w, bits).values()

    for precision in PRECISIONS:
        form = Grouped(precision, bits, 32)
        plain = Dense(form.precision)
        assert np.array_equal(form.unpack(form.pack(w), 256), plain.unpack(plain.pack(exact), 256))
    if bits == 4:
        assert np.array_equal(
            Grouped("f16", 4, 32).unpack(Grouped("f16", 4, 32).pack(w), 256), exact
        )


@pytest.mark.parametrize("bits", [4, 8])
def test_planes_are_consecutive_inputs(bits: int) -> None:
    """Word i holds in digit j what input j * words + i of the block has."""
    codes = np.random.default_rng(0).integers(0, 1 << bits, (3, 256)).astype(np.uint8)

    words = packed_planes(packed(codes, bits), bits)

    per = words_of(bits)
    block, j, i = 1, 2, 5
    found = words.view(np.uint32)[2, block * per + i] >> np.uint32(bits * j) & ((1 << bits) - 1)
    assert found == codes[2, block * 128 + j * per + i]
    assert np.array_equal(digits(words, bits), codes)


def test_e4m3_is_the_nearest_of_all() -> None:
    """Of the 127 that are not negative; ties to the even one, and the sign is kept."""
    every = from_e4m3(np.arange(127, dtype=np.uint8))
    middles = (every[1:] + every[:-1]) / 2
    around = np.concatenate([middles, np.nextafter(middles, 0), np.nextafter(middles, 1000), every])
    codes = np.arange(126)

    found = to_e4m3(around)

    even = codes + codes % 2
    assert list(found) == [*even, *codes, *(codes + 1), *range(127)]
    assert (to_e4m3(-around) == found | 0x80).all()
    assert (every[1], every[8], every[126]) == (2.0**-9, 2.0**-6, 448)


def test_e2m1_is_the_nearest_of_all() -> None:
    """Of 8 that are not negative; ties to the even one, the sign is kept, and none is larger."""
    every = E2M1[:8]
    middles = (every[1:] + every[:-1]) / 2
    around = np.concatenate([middles, np.nextafter(middles, 0), np.nextafter(middles, 9), every])
    codes = np.arange(7)

    found = to_e2m1(around)

    assert list(found) == [*(codes + codes % 2), *codes, *(codes + 1), *range(8)]
    assert (to_e2m1(-around) == found | 8).all()
    assert to_e2m1(np.array([6.1, 7.9, 1e30], np.float32)).tolist() == [7, 7, 7]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_lies_in_mxfp4_is_kept_exactly(precision: Precision) -> None:
    """Whichever of its numbers is the largest of a group, and whatever its scale."""
    rng = np.random.default_rng(5)
    groups = E2M1[rng.integers(0, 16, (64, 32))] * (rng.random((64, 32)) < 0.1)
    groups[:16, 3] = E2M1
    scales = np.exp2(rng.integers(-9, 4, (64, 1))).astype(np.float32)
    w = (groups * scales).reshape(16, 128).astype(np.float32)
    form = Grouped(precision, 4, 32, floats=True)

    assert np.array_equal(form.unpack(form.pack(w), 128), w)


@named
def test_sizes_are_those_of_what_is_packed(form: Format) -> None:
    for depth in (DEPTH, 160) if "g128" not in form.name else (DEPTH,):
        packed = form.pack(weights(ROWS, depth))
        shapes = form.shapes(ROWS, depth)

        assert {n: (a.shape, a.dtype.name) for n, a in packed.items()} == shapes
        assert size(form, ROWS, depth) == sum(array.nbytes for array in packed.values())


@named
def test_threads_pack_as_one_does(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever each of them takes."""
    w = weights()
    alone = form.pack(w)
    for at_once in (DEPTH, 7 * DEPTH):
        monkeypatch.setattr("raylax.kernels.cuda.formats.grouped.AT_ONCE", at_once)
        monkeypatch.setattr("raylax.kernels.cuda.formats.dense.AT_ONCE", at_once)
        together = form.pack(w, 3)
        assert all(np.array_equal(alone[name], together[name]) for name in alone)


SPEC = DecoderSpec("x", 256, 1, 8, 4, 64, 640, 100, Rope(1e4), 1e-5, 64, False)
SHAPES = {
    "w_qkv": (1024, 256), "w_o": (256, 512), "w_gate_up": (1280, 256), "w_down": (256, 640),
    "w_head": (128, 256),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("form", [FORMATS[0], PACKED[0], PACKED[3]], ids=lambda form: form.name)
def test_shards_together_are_the_matrix(form: Format, name: str) -> None:
    """Of 2 ranks. A rank's part of a packed matrix is its part of the weights."""
    degree, (rows, depth) = Degree(2), SHAPES[name]
    w = weights(rows, depth)
    kept = form.unpack(form.pack(w), depth)
    for rank in range(2):
        if name == "w_down" and isinstance(form, Grouped):
            break  # 640 inputs are 2 1/2 blocks for each
        part = part_of(name, SPEC, degree, degree.place(SPEC, rank))
        at = [range(n, n + m) for n, m in part.rows or ((0, rows),)]
        first, count = part.columns or (0, depth)
        expected = kept[np.concatenate(at)][:, first : first + count].copy()
        for start, length in part.others:
            expected[:, start : start + length] = 0

        assert np.array_equal(form.unpack(packed_part(form, w, part), count), expected)


def test_a_rank_has_the_keys_and_values_of_its_heads() -> None:
    """8 query heads, then 4 of keys and 4 of values, of 64 rows each. Of 8 ranks two share one."""
    two, eight = Degree(2), Degree(8)

    assert part_of("w_qkv", SPEC, two, two.place(SPEC, 1)).rows == (
        (256, 256), (512 + 128, 128), (768 + 128, 128),
    )  # fmt: skip
    assert part_of("w_qkv", SPEC, eight, eight.place(SPEC, 5)).rows == (
        (320, 64), (512 + 128, 64), (768 + 128, 64),
    )  # fmt: skip
    assert part_of("w_gate_up", SPEC, two, two.place(SPEC, 1)).rows == ((320, 320), (960, 320))
    assert part_of("w_o", SPEC, two, two.place(SPEC, 1)).columns == (256, 256)


def test_inputs_of_two_ranks_count_once() -> None:
    """608 inputs are 19 groups: each of 4 ranks has a window of 5, and erases what others have."""
    degree, form, spec = Degree(4), Dense("bf16"), replace(SPEC, intermediate=608)
    w = weights(48, 608)
    total = np.zeros((48, 608), np.float32)
    for rank in range(4):
        part = part_of("w_down", spec, degree, degree.place(spec, rank))
        assert part.columns is not None
        first, count = part.columns
        total[:, first : first + count] += form.unpack(packed_part(form, w, part), count)

    assert np.array_equal(total, form.unpack(form.pack(w), 608))


def test_the_mlp_of_layers_without_experts_is_cut_like_any_other() -> None:
    """As of a model that has no experts, and as many units in all its layers."""
    dense = Experts(8, 2, 32, dense=(0,), dense_intermediate=608)
    mixed, alike = replace(SPEC, experts=dense), replace(SPEC, intermediate=608)
    for rank in range(4):
        places = [Degree(4).place(one, rank) for one in (mixed, alike)]
        for own, usual in (("w_dense_up", "w_gate_up"), ("w_dense_down", "w_down")):
            found = part_of(own, mixed, Degree(4), places[0])
            assert found == part_of(usual, alike, Degree(4), places[1])
    with pytest.raises(CompileError, match="must begin at a multiple of 128, found 288"):
        check_cuts(Grouped("bf16", 4, 32), replace(mixed, intermediate=1024), Degree(4))


def test_a_cut_through_a_block_is_refused() -> None:
    degree = Degree(2)
    form = Grouped("bf16", 4, 32)
    part = part_of("w_down", SPEC, degree, degree.place(SPEC, 1))

    with pytest.raises(CompileError, match="q4_g32_bf16 .* multiple of 128, found 320"):
        packed_part(form, weights(256, 640), part)
    with pytest.raises(CompileError, match="multiple of 128, found 320; take fewer tensor_paral"):
        check_cuts(form, SPEC, degree)


def test_a_cut_through_a_group_is_refused() -> None:
    """704 inputs are 5 1/2 groups of 128: the first of 2 ranks would end in the middle of one. Of 4
    ranks that have windows of 6 of 22 groups of 32, those of dense weights may overlap."""
    form, spec = Grouped("bf16", 4, 128), replace(SPEC, intermediate=704)

    with pytest.raises(CompileError, match="in groups of 128, and 2 tensor_parallel_shards cut"):
        check_groups(form, part_of("w_down", spec, Degree(2), Degree(2).place(spec, 0)), Degree(2))
    check_cuts(Dense("bf16"), spec, Degree(4))
    check_cuts(Grouped("bf16", 4, 32), replace(SPEC, intermediate=1024), Degree(4))
    with pytest.raises(CompileError, match="must divide the attention heads"):
        check_cuts(Dense("bf16"), spec, Degree(3))


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_ranks_compute_as_many_logits_each_and_all_together(ranks: int) -> None:
    """Of 100 tokens, which are 4 panels of 32 rows."""
    degree, spec = Degree(ranks), replace(SPEC, vocab=100)
    found = [head_rows(spec, degree, degree.place(spec, rank)) for rank in range(ranks)]

    assert len({count for _, count in found}) == 1
    assert {n for first, count in found for n in range(first, first + count)} == set(range(128))


@pytest.mark.parametrize("name", [*NAMES, *SAME])
def test_names_have_formats(name: str) -> None:
    q = quantization_named(name, "float16")

    assert q.name == SAME.get(name, name)
    assert q.layers.precision == q.precision == q.head.precision


def test_what_does_not_fit_is_refused() -> None:
    large = np.full((16, 128), 1e5, np.float32)

    with pytest.raises(CompileError, match="at most 65504, found 100000"):
        Dense("f16").pack(large)
    with pytest.raises(CompileError, match="at most 255"):
        Grouped("f16", 4, 32).pack(large)
    with pytest.raises(CompileError, match="multiples of its group of 128, found 96"):
        Grouped("bf16", 4, 128).pack(weights(16, 96))
    with pytest.raises(CompileError, match="'w8a8' is not there on CUDA"):
        quantization_named("w8a8", "float16")
    with pytest.raises(CompileError, match=r"in groups of 128, found 32 \.\. 64"):
        form = Grouped("bf16", 4, 128)
        form.erase(form.pack(weights()), 32, 32)
