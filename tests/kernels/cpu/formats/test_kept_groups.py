"""What files have in groups is multiplied as it is: every kind of groups, on every CPU."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.groups import BLOCK, Array, Groups, Kind, own, packed
from raylax.kernels.cpu.formats.grouped import Grouped
from raylax.kernels.cpu.target import cpu
from raylax.kernels.errors import CompileError
from tests.kernels.conftest import TARGETS, Runner
from tests.support.products import (
    OUT,
    ROWS,
    TILES,
    K,
    Products,
    numbers,
    rounded_activations,
)

KINDS = (
    Kind(4), Kind(8), Kind(4, offset="minimum"), Kind(8, offset="minimum"),
    Kind(4, 128), Kind(4, 128, offset="zero"), Kind(8, 128, "bf16", "zero"),
    Kind(4, scale="bf16", offset="zero"), Kind(8, 128, "f32"), Kind(8, 32, "f32", "zero"),
    Kind(4, scale="levels", offset="minimum"), Kind(8, scale="levels", offset="minimum"),
    Kind(4, scale="bf16", table="e2m1"),
)  # fmt: skip

EVERYWHERE = (KINDS[2], KINDS[5], KINDS[6], KINDS[9], KINDS[10], KINDS[12])
"""Kinds by which each way to read scales and offsets meets each way to multiply."""
NUMPY: dict[str, np.dtype[Any]] = {"f16": np.dtype(np.float16), "f32": np.dtype(np.float32)}


def groups_of(kind: Kind, rows: int = OUT, columns: int = K) -> Groups:
    """Random ones, with scales of both signs, some of them 0 and some denormal in f16."""
    rng = np.random.default_rng(4)
    most = 32 if kind.scale == "levels" else 256  # as Q5_K
    codes = rng.integers(0, min(1 << kind.bits, most), (rows, columns), np.uint8)

    def halves(width: int, dtype: str = "f16") -> Array:
        found = rng.standard_normal((rows, -(-columns // width)), np.float32)
        found[3], found[4] = 0, 3e-6
        return to_bf16(found) if dtype == "bf16" else found.astype(NUMPY[dtype])

    def small(width: int, most: int) -> Array:
        return rng.integers(0, most, (rows, -(-columns // width)), np.uint8)

    whole = packed(codes, kind.bits)
    if kind.scale == "levels":
        inner = [small(kind.group, 64) for _ in range(2)]
        return Groups(kind, whole, halves(BLOCK), halves(BLOCK), *inner)
    offsets = {"": None, "minimum": halves(kind.group), "zero": small(kind.group, 1 << kind.bits)}
    return Groups(kind, whole, halves(kind.group, kind.scale), offsets[kind.offset])


@pytest.fixture(scope="module")
def here(store: Path) -> Callable[[Kind], Products[Grouped]]:
    """A kind -> its products on the CPU that runs this."""
    own = cpu()
    return cache(lambda kind: Products(str(kind), Grouped(kind, own), own, store, lambda one: one))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nothing_is_rounded(kind: Kind, here: Callable[[Kind], Products[Grouped]]) -> None:
    """What is gathered are the numbers that the codes stand for, bit for bit."""
    groups = groups_of(kind)

    _, kept = here(kind).run(numbers(ROWS, K), here(kind).format.pack(groups), 8)

    assert np.array_equal(kept, groups.values())


@pytest.mark.parametrize(
    ("target", "kind"),
    [(None, kind) for kind in KINDS] + [(target, k) for target in TARGETS for k in EVERYWHERE],
    ids=str,
)
def test_products_are_those_of_the_numbers(
    kind: Kind,
    target: str | None,
    runner: Runner,
    store: Path,
    here: Callable[[Kind], Products[Grouped]],
) -> None:
    """With activations of 8 bits; with the same bits in any tile and on any CPU (law 1)."""
    wanted, groups = cpu(target), groups_of(kind)
    products = Products(str(kind), Grouped(kind, wanted), wanted, store, runner(wanted))
    x, placed = numbers(ROWS, K), here(kind).format.pack(groups)
    x[3, 32:64] = 0

    y, _ = here(kind).run(x, placed, 8)
    results = [products.run(x, placed, rows)[0] for rows in TILES]

    want = rounded_activations(x).astype(np.float64) @ groups.values().astype(np.float64).T
    assert np.abs(results[0] - want).max() <= 2e-6 * np.abs(want).max()
    assert all(np.array_equal(one, y) for one in results)
    assert np.array_equal(products.format.pack(groups), placed)


@pytest.mark.parametrize("kind", [Kind(4), own(8), Kind(8, 128, "f32"), KINDS[2]], ids=str)
def test_groups_that_are_not_finite_are_refused(kind: Kind) -> None:
    """Of a scale, or of a minimum: each by what it is."""
    groups = groups_of(kind)
    spoilt = groups.scale if groups.offset is None else groups.offset
    spoilt[5, 1] = 0x7F80 if kind.scale == "bf16" else np.inf

    with pytest.raises(CompileError, match="scales and minima of groups must be finite"):
        Grouped(kind, cpu()).pack(groups)
