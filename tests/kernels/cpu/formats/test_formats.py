"""Every weight format against numpy, and against itself on other CPUs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.compile import CompiledStep, compile_function, export, linker, on_all_cores
from raylax.kernels.cpu.formats import NAMES, quantization_named
from raylax.kernels.cpu.formats.base import Format, RowFormat, RowTile
from raylax.kernels.cpu.step.emitter import View
from raylax.kernels.cpu.target import CPU, cpu, missing_here
from raylax.kernels.cpu.tir.emit import (
    Register,
    function,
    imported,
    lanes,
)
from raylax.kernels.memory import aligned_copy, aligned_zeros
from raylax.kernels.runtime import load_library
from raylax.kernels.shards import GROUP, PANEL
from tests.kernels.conftest import TARGETS, Load, Runner
from tests.support.kept import kept

ROWS, K, OUT = 8, 128, 64
TILES = (1, 4, 8)
SOURCE = Path(__file__).read_text()
Floats = npt.NDArray[np.float32]
# What rounding weights to so many bits may cost, of the largest weight of its group or row.
STEP = {
    "q0f32": 0.0, "q0bf16": 2.0**-8, "w8a8": 0.51 / 127, "q8f32_0": 0.51 / 127, "q4f32_1": 0.51 / 7,
    "q4f32_0": 0.51 / 7,
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


def numbers(*shape: int) -> Floats:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


def emitted(fmt: Format, tile_rows: int) -> Any:
    """x[ROWS, K], packed weights -> y[ROWS, OUT], and every weight as an embedding has it."""
    name = f"run_{tile_rows}"
    with function(name) as builder:
        x = T.arg("x", T.buffer((ROWS, K), "float32"))
        packed = T.arg("w", T.buffer(fmt.weight_shape(OUT, K), fmt.dtype))
        shape, dtype = fmt.activation(ROWS, K)
        a = View(T.arg("a", T.buffer(shape, dtype)))
        y = T.arg("y", T.buffer((ROWS, OUT), "float32"))
        rows = T.arg("rows", T.buffer((OUT, K), "float32"))
        with imported(fmt.dot.code):
            with T.serial(0, ROWS) as row:
                tile, m = T.floordiv(row, tile_rows), T.floormod(row, tile_rows)
                place = RowTile(a, K, tile_rows, tile)
                if isinstance(fmt, RowFormat):
                    fmt.store_row(place, m, lambda at: x[row, at])
                else:
                    with T.serial(0, K // GROUP) as g:
                        pair = [Register(x[row, lanes(g * GROUP + half * 16)]) for half in range(2)]
                        fmt.store_group(place, m, g, pair)
            with T.serial(0, ROWS // tile_rows) as tile, T.serial(0, OUT // PANEL) as panel:

                def store(m: int, half: int, value: Any) -> None:
                    at = lanes(panel * PANEL + half * 16)
                    T.buffer_store(y, value, [tile * tile_rows + m, at])

                fmt.product(RowTile(a, K, tile_rows, tile), View(packed), panel, 0, store)
            with T.serial(0, OUT) as row:
                write = lambda d, value: T.buffer_store(rows, value, [row, d])  # noqa: E731
                fmt.gather(View(packed), row, K, write)
    return builder.get()


def compiled(fmt: Format, target: CPU, tiles: Sequence[int] = TILES) -> CompiledStep:
    """A function for every height of a tile."""
    functions = {f"run_{rows}": partial(emitted, fmt, rows) for rows in tiles}
    made = on_all_cores(partial(compile_function, target), functions, functions.values())
    return CompiledStep(dict(zip(functions, made, strict=True)))


class Products:
    """One format on one CPU."""

    def __init__(self, name: str, target: CPU, store: Path, load: Load) -> None:
        self.format = quantization_named(name, "float32", target).formats["w_qkv"]
        if missing_here(target):
            self.library = load(compiled(self.format, target))
        else:
            self.library = library(name, self.format, target, store)

    def run(self, x: Floats, weights: Floats, tile_rows: int) -> tuple[Floats, Floats]:
        """The product, and the weights as they were stored."""
        y, rows = aligned_zeros((ROWS, OUT), "float32"), aligned_zeros((OUT, K), "float32")
        work = aligned_zeros(*self.format.activation(ROWS, K))
        arrays = (aligned_copy(x), aligned_copy(self.format.pack(weights)), work, y, rows)
        self.library[f"run_{tile_rows}"](*(tvm.runtime.from_dlpack(array) for array in arrays))
        return y, rows


def library(name: str, fmt: Format, target: CPU, store: Path) -> Any:
    """The functions for a CPU that runs this."""
    if (cc := linker(target)) is None:
        return compiled(fmt, target)

    def make(directory: Path) -> None:
        export(compiled(fmt, target), directory / "products.so", cc)

    facts = {"products of": name, "target": asdict(target), "by": SOURCE}
    return load_library(kept(store, facts, make) / "products.so")


@pytest.fixture(scope="module")
def here(store: Path) -> Callable[[str], Products]:
    """A format's name -> its products on the CPU that runs this."""
    return cache(lambda name: Products(name, cpu(), store, lambda executable: executable))


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_kept_within_a_rounding_step(
    name: str, here: Callable[[str], Products]
) -> None:
    """Of the largest in their group or row; zeros stay zeros."""
    weights = numbers(OUT, K)
    weights[5] = 0

    _, kept = here(name).run(numbers(ROWS, K), weights, 8)

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
    here: Callable[[str], Products],
) -> None:
    """With activations rounded as the format says: bf16, or 8 bits in groups or rows. In any tile
    and on any CPU they have the same bits (law 1)."""
    wanted = cpu(target)
    products = Products(name, wanted, store, runner(wanted))
    x, weights = numbers(ROWS, K), numbers(OUT, K)
    x[3, 32:64] = 0

    y, kept = here(name).run(x, weights, 8)
    results = [products.run(x, weights, rows)[0] for rows in TILES]

    want = rounded_like(name, x).astype(np.float64) @ kept.astype(np.float64).T
    assert np.abs(results[0] - want).max() <= 2e-6 * np.abs(want).max()
    assert all(np.array_equal(one, y) for one in results)


def rounded_like(name: str, x: Floats) -> Floats:
    if name == "q0f32":
        return x
    if name == "q0bf16":
        bits = x.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
    grouped = x.reshape(ROWS, -1, K if name in ALONG_ROWS else GROUP)
    step = np.abs(grouped).max(2, keepdims=True) * np.float32(1 / 127)
    inverse = np.divide(np.float32(1), step, out=np.zeros_like(step), where=step > 0)
    rounded: Floats = (np.rint(grouped * inverse) * step).reshape(x.shape)
    return rounded


def assembly_of(name: str, target: CPU, store: Path) -> str:
    """Of the product, with tiles of 8 rows."""
    fmt = quantization_named(name, "float32", target).formats["w_qkv"]

    def make(directory: Path) -> None:
        (directory / "products.s").write_text(compiled(fmt, target, [8]).assembly)

    facts = {"assembly of": name, "target": asdict(target), "by": SOURCE}
    return (kept(store, facts, make) / "products.s").read_text()


@pytest.mark.parametrize("target", INSTRUCTIONS)
def test_integers_meet_the_instruction_of_the_cpu(target: str, store: Path) -> None:
    """8 bits, then 4 bits: what the table in the README of this room says."""
    for name, instruction in zip(("q8f32_0", "q4f32_1"), INSTRUCTIONS[target], strict=True):
        assert re.search(instruction, assembly_of(name, cpu(target), store))
