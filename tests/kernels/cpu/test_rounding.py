"""How groups of weights become codes and scales."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.checkpoints.groups import unpacked
from raylax.kernels.cpu.rounding import EIGHT, FOUR, FOUR_FROM_7, Codes, round_groups
from raylax.kernels.cpu.target import cpu
from raylax.kernels.cpu.tir.rounding import emitted
from raylax.kernels.errors import CompileError
from raylax.kernels.memory import aligned_copy, aligned_zeros
from raylax.kernels.runtime import as_tensor
from tests.kernels.conftest import TARGETS, Runner
from tests.support.kept import kept_functions

Floats = npt.NDArray[np.float32]
one, zero = np.float32(1), np.float32(0)


def groups(count: int = 64, size: int = 32, seed: int = 1) -> Floats:
    """Of many magnitudes; some are zeros, have two largest, or are equal."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((count, size), np.float32)
    out *= np.float32(2) ** rng.integers(-20, 20, (count, 1)).astype(np.float32)
    out[3], out[5] = 0, 0.7
    out[7, 2], out[7, 9] = 1000, -1000
    out[9] *= np.float32(1e-38)
    return out


class Kept(NamedTuple):
    """What is stored, as numbers."""

    codes: Floats
    scales: Floats


def kept(w: Floats, codes: Codes, half: bool = False) -> Kept:
    made = round_groups(w, codes, half)
    return Kept(unpacked(made.codes, codes.bits) - np.float32(codes.zero), made.scales)


def error(w: Floats, found: Kept) -> float:
    """Root mean square, of the weights' own."""
    exact = found.codes.astype(np.float64) * found.scales[:, None]
    return float(np.sqrt(((exact - w) ** 2).mean() / (w.astype(np.float64) ** 2).mean()))


def by_numpy(w: Floats, codes: Codes) -> Kept:
    """The definition again, without f16."""
    largest = np.abs(w).max(1)
    there = largest >= np.float32(2.0**-103)
    down = np.ldexp(one, 13 - np.frexp(np.where(there, largest, 1))[1]).astype(np.float32)
    scaled = w * down[:, None]
    peak = np.where(w.max(1) == largest, largest, -largest) * down
    per = np.divide(one, peak, out=np.zeros_like(peak), where=there)
    best, least = np.zeros_like(peak), np.zeros_like(peak)
    for end in codes.ends:
        if len(codes.ends) == 1:
            best = from_bf16(to_bf16(peak * np.float32(1 / end)))
            break
        whole = np.rint(scaled)
        code = np.rint(whole * (per * np.float32(end))[:, None])
        code = np.clip(code, codes.lowest, codes.highest)
        met, squares = (code * whole).sum(1), (code * code).sum(1)
        fitted = np.divide(met, squares, out=np.zeros_like(met), where=squares > 0)
        tried = from_bf16(to_bf16(fitted))
        inner = tried.astype(np.float64) * squares - 2 * met.astype(np.float64)
        error = tried * inner.astype(np.float32)
        best, least = np.where(error < least, tried, best), np.minimum(error, least)
    best = np.where(there, best, zero)
    if len(codes.ends) > 1:
        whole, squares = np.rint(scaled), np.zeros_like(best)
        for column in whole.T.astype(np.float64):  # exact, then rounded once, as an fma
            squares = (squares + column * column).astype(np.float32)
        met = (nearest_codes(whole, best, codes) * whole).sum(1)
        best = from_bf16(to_bf16(np.divide(squares, met, out=best, where=best != 0)))
    return Kept(nearest_codes(scaled, best, codes), best / down)


def nearest_codes(w: Floats, scales: Floats, codes: Codes) -> Floats:
    inverse = np.divide(one, scales, out=np.zeros_like(scales), where=scales != 0)
    found: Floats = np.clip(np.rint(w * inverse[:, None]), codes.lowest, codes.highest)
    return found


CASES = [(32, FOUR), (32, FOUR_FROM_7), (128, FOUR), (32, EIGHT)]
ids = ["4 bits", "4 bits from 7", "4 bits of 128", "8 bits"]


@pytest.mark.parametrize(("size", "codes"), CASES, ids=ids)
@pytest.mark.parametrize("target", [None, *TARGETS])
def test_all_cpus_have_the_bits_of_the_definition(
    target: str | None, size: int, codes: Codes, runner: Runner, store: Path
) -> None:
    """Numpy's, which adds in another order: the sums are exact (law 1)."""
    wanted, w = cpu(target), groups(size=size)
    facts = {"rounds": [size, *codes]}
    functions = {"run": lambda: emitted(size, *codes, False)}
    run: Any = kept_functions(store, facts, wanted, functions, runner(wanted))["run"]
    words = aligned_zeros((w.size * codes.bits // 32,), "int32")
    scales = aligned_zeros((len(w),), "float32")

    arrays = aligned_copy(w.reshape(-1)), words, scales
    run(len(w), *(as_tensor(array) for array in arrays))

    expected = by_numpy(w, codes)
    assert np.array_equal(scales.view(np.uint32), expected.scales.view(np.uint32))
    found = unpacked(words.view(np.uint8).reshape(len(w), -1), codes.bits)
    assert np.array_equal(found - np.float32(codes.zero), expected.codes)


def test_four_bits_have_sixteen_codes() -> None:
    """Of normal numbers the error is a sixth below that of scales that put the largest on 7, and
    within half a percent of that of the best of 41 scales for each group."""
    w = np.random.default_rng(2).standard_normal((4096, 32), np.float32)
    largest = np.abs(w).max(1, keepdims=True)
    fifteen = Kept(np.rint(w / (largest / 7)), largest[:, 0] / 7)
    wide = w.reshape(-1, 128)

    found = kept(w, FOUR)

    assert set(found.codes.flat) == set(range(-8, 8))
    assert error(w, fifteen) > 0.0965
    assert error(w, found) < 0.0815
    assert error(wide, kept(wide, FOUR)) < 0.0975


def test_scales_are_what_is_stored() -> None:
    """bf16, and f16 where that is asked for, of which small ones are few; so weights that f16 tells
    apart do not vanish."""
    w = groups(size=32)[10:]
    small = w / np.abs(w).max(1, keepdims=True) * np.float32(2.0**-16)
    for codes in (FOUR, EIGHT):
        for found in (kept(w, codes), kept(small, codes, half=True)):
            assert np.array_equal(from_bf16(to_bf16(found.scales)), found.scales)

        assert np.array_equal(found.scales.astype(np.float16), found.scales)
        assert error(small, found) < 0.1


def test_what_is_small_is_zero_and_what_is_large_is_kept() -> None:
    w = groups(16)
    exponent = np.frexp(np.abs(w[0]).max())[1]
    w[1], w[2] = (np.ldexp(w[0], to - exponent) for to in (-103, 127))

    found = kept(w, FOUR)

    for none in (1, 3, 9):
        assert (found.scales[none], found.codes[none].any()) == (0, False)
    assert np.array_equal(found.codes[2], found.codes[0])


@pytest.mark.parametrize("count", [1, 15, 17, 33])
def test_groups_are_rounded_alone(count: int) -> None:
    """However many there are."""
    w = groups()
    whole, part = round_groups(w, FOUR), round_groups(w[:count], FOUR)

    assert np.array_equal(part.codes, whole.codes[:count])
    assert np.array_equal(part.scales, whole.scales[:count])


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 2e38])
@pytest.mark.parametrize("codes", [FOUR, EIGHT], ids=["4 bits", "8 bits"])
def test_what_is_not_finite_is_refused(codes: Codes, odd: float) -> None:
    w = groups(20)
    w[17, 30] = odd

    with pytest.raises(CompileError, match=re.escape(f"below 2^127, found {abs(odd):g}")):
        round_groups(w, codes)
