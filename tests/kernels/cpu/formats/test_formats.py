"""Every weight format against numpy, and against itself on other CPUs."""

import re
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cpu.emitted_from import emitter_hash
from raylax.kernels.cpu.formats import NAMES, quantization_named
from raylax.kernels.cpu.formats.base import Format
from raylax.kernels.cpu.formats.f16 import F16
from raylax.kernels.cpu.target import CPU, cpu
from raylax.kernels.errors import CompileError
from raylax.kernels.shards import GROUP
from tests.kernels.conftest import TARGETS, Load, Runner
from tests.support.kept import compiled, kept
from tests.support.products import (
    OUT,
    ROWS,
    SOURCE,
    TILES,
    Floats,
    K,
    Products,
    functions_of,
    numbers,
    rounded_activations,
)

# What rounding weights to so many bits may cost, of the largest weight of its group or row; of 4
# bits the largest itself may lie beyond the last code.
STEP = {
    "q0f32": 0.0, "q0bf16": 2.0**-8, "q0f16": 2.0**-11, "w8a8": 0.51 / 127, "q8f32_0": 0.51 / 127,
    "q4f32_1": 0.2, "q4f32_0": 0.2,
}  # fmt: skip
ALONG_ROWS = ("w8a8",)
"""Formats that round a row as a whole; the others, groups of 32."""

PAIRS, QUADS = r"\tv?pmaddwd\t.*%", r"\tv?pmaddubsw\t.*%"
INSTRUCTIONS = {
    "x86-64-v2": (PAIRS + "xmm", PAIRS + "xmm"),
    "x86-64-v3": (PAIRS + "ymm", QUADS + "ymm"),
    "alderlake": (r"\tvpdpbusd\t.*%ymm", r"\tvpdpbusd\t.*%ymm"),
    "skylake-avx512": (PAIRS + "zmm", QUADS + "zmm"),
    "cascadelake": (r"\tvpdpbusd\t.*%zmm", r"\tvpdpbusd\t.*%zmm"),
    "aarch64": (r"\tsmull", r"\tsmull"),
    "neoverse-n1": (r"\tsdot\t", r"\tsdot\t"),
    "neoverse-v2": (r"\tusdot\t", r"\tusdot\t"),
}


def products_of(name: str, target: CPU, store: Path, load: Load) -> Products[Format]:
    fmt = quantization_named(name, "float32", target).formats["w_qkv"]
    return Products(name, fmt, target, store, load)


@pytest.fixture(scope="module")
def here(store: Path) -> Callable[[str], Products[Format]]:
    """A format's name -> its products on the CPU that runs this."""
    return cache(lambda name: products_of(name, cpu(), store, lambda executable: executable))


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_kept_within_a_rounding_step(
    name: str, here: Callable[[str], Products[Format]]
) -> None:
    """Of the largest in their group or row; zeros stay zeros."""
    weights = numbers(OUT, K)
    weights[5] = 0

    products = here(name)
    _, kept = products.run(numbers(ROWS, K), products.format.pack(weights), 8)

    group = K if name in ALONG_ROWS else GROUP
    largest = np.abs(weights.reshape(OUT, -1, group)).max(2).repeat(group, 1)
    assert (np.abs(kept - weights) <= STEP[name] * largest + 1e-7).all()
    assert not kept[5].any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [None, *TARGETS])
def test_products_are_those_of_the_kept_weights(
    name: str,
    target: str | None,
    runner: Runner,
    store: Path,
    here: Callable[[str], Products[Format]],
) -> None:
    """With activations rounded as the format says: bf16, or 8 bits in groups or rows. In any tile
    and on any CPU they have the same bits (law 1)."""
    wanted = cpu(target)
    products = products_of(name, wanted, store, runner(wanted))
    x, packed = numbers(ROWS, K), products.format.pack(numbers(OUT, K))
    x[3, 32:64] = 0

    y, kept = here(name).run(x, packed, 8)
    results = [products.run(x, packed, rows)[0] for rows in TILES]

    want = rounded_like(name, x).astype(np.float64) @ kept.astype(np.float64).T
    assert np.abs(results[0] - want).max() <= 2e-6 * np.abs(want).max()
    assert all(np.array_equal(one, y) for one in results)


def rounded_like(name: str, x: Floats) -> Floats:
    if name in ("q0f32", "q0f16"):
        return x
    if name == "q0bf16":
        bits = x.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
    return rounded_activations(x, K if name in ALONG_ROWS else GROUP)


def assembly_of(name: str, target: CPU, store: Path) -> str:
    """Of the product, with tiles of 8 rows."""
    fmt = quantization_named(name, "float32", target).formats["w_qkv"]

    def make(directory: Path) -> None:
        (directory / "products.s").write_text(compiled(target, functions_of(fmt, [8])).assembly)

    facts = {"assembly of": name, "target": asdict(target), "by": SOURCE}
    return (kept(store, facts, make, emitter_hash) / "products.s").read_text()


@pytest.mark.parametrize("target", INSTRUCTIONS)
def test_integers_meet_the_instruction_of_the_cpu(target: str, store: Path) -> None:
    """8 bits, then 4 bits: what the table in the README of this room says."""
    for name, instruction in zip(("q8f32_0", "q4f32_1"), INSTRUCTIONS[target], strict=True):
        assert re.search(instruction, assembly_of(name, cpu(target), store))


@pytest.mark.parametrize("target", [None, *TARGETS])
def test_f16_is_widened_exactly(target: str | None, runner: Runner, store: Path) -> None:
    """All that f16 has, also by a CPU that has no instruction for that, in products and as an
    embedding has it. No f32 is made of what a file has."""
    wanted = cpu(target)
    products = products_of("q0f16", wanted, store, runner(wanted))
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = np.random.default_rng(1).permutation(every[np.isfinite(every)])
    columns, x = np.arange(ROWS) * 20, np.zeros((ROWS, K), np.float32)
    x[np.arange(ROWS), columns] = 1
    for first in range(0, len(every), OUT * K):
        weights = np.resize(every[first:], (OUT, K))
        packed = products.format.pack(weights)

        y, rows = products.run(x, packed, 8)

        exact = weights.astype(np.float32)
        assert np.array_equal(rows, exact)
        assert np.array_equal(y, exact[:, columns].T)
        assert np.array_equal(packed, products.format.pack(exact))


def test_what_f16_has_not_is_refused() -> None:
    with pytest.raises(CompileError, match="at most 65504, found 70000 in the weights; take bf16"):
        F16(cpu()).pack(np.full((32, 32), 7e4, np.float32))
