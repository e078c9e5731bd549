"""Every weight format against numpy, and against itself on other CPUs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.emit import Register, function, imported, lanes
from raylax.kernels.cpu.operators import View
from raylax.kernels.cpu.target import CPU, cpu
from raylax.kernels.formats import NAMES, quantization_named
from raylax.kernels.formats.base import GROUP, PANEL, Format, RowFormat, RowTile
from raylax.kernels.memory import aligned_copy, aligned_zeros

ROWS, K, OUT = 8, 128, 64
Floats = npt.NDArray[np.float32]
# What rounding weights to so many bits may cost, of the largest weight of its group or row.
STEP = {
    "q0f32": 0.0, "q0bf16": 2.0**-8, "w8a8": 0.51 / 127, "q8f32_0": 0.51 / 127, "q4f32_1": 0.51 / 7,
}  # fmt: skip
ALONG_ROWS = ("w8a8",)
"""Formats that round a row as a whole; the others, groups of 32."""


def numbers(*shape: int) -> Floats:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


def compiled(fmt: Format, target: CPU, tile_rows: int) -> Any:
    """x[ROWS, K], packed weights -> y[ROWS, OUT], and every weight as an embedding has it."""
    tiles = ROWS // tile_rows
    with function("run") as builder:
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
            with T.serial(0, tiles) as tile, T.serial(0, OUT // PANEL) as panel:

                def store(m: int, half: int, value: Any) -> None:
                    at = lanes(panel * PANEL + half * 16)
                    T.buffer_store(y, value, [tile * tile_rows + m, at])

                fmt.product(RowTile(a, K, tile_rows, tile), View(packed), panel, 0, store)
            with T.serial(0, OUT) as row:
                write = lambda d, value: T.buffer_store(rows, value, [row, d])  # noqa: E731
                fmt.gather(View(packed), row, K, write)
    module = tvm.IRModule({"run": builder.get().with_attr("global_symbol", "run")})
    with tvm.transform.PassContext(config={"tirx.disable_storage_rewrite": True}):
        return tvm.compile(module, target=target.tvm)


def run(
    name: str, target: CPU, x: Floats, weights: Floats, tile_rows: int
) -> tuple[Floats, Floats]:
    """The product, and the weights as they were stored."""
    fmt = quantization_named(name, "float32", target).layers
    executable = compiled(fmt, target, tile_rows)
    y, rows = aligned_zeros((ROWS, OUT), "float32"), aligned_zeros((OUT, K), "float32")
    work = aligned_zeros(*fmt.activation(ROWS, K))
    arrays = (aligned_copy(x), aligned_copy(fmt.pack(weights)), work, y, rows)
    executable["run"](*(tvm.runtime.from_dlpack(array) for array in arrays))
    return y, rows


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_kept_within_a_rounding_step(name: str) -> None:
    """Of the largest in their group or row; zeros stay zeros."""
    weights = numbers(OUT, K)
    weights[5] = 0

    _, kept = run(name, cpu(), numbers(ROWS, K), weights, 8)

    group = K if name in ALONG_ROWS else GROUP
    largest = np.abs(weights.reshape(OUT, -1, group)).max(2).repeat(group, 1)
    assert (np.abs(kept - weights) <= STEP[name] * largest + 1e-7).all()
    assert not kept[5].any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tile_rows", [1, 4, 8])
def test_products_are_those_of_the_kept_weights(name: str, tile_rows: int) -> None:
    """With activations rounded as the format says: bf16, or 8 bits in groups or rows."""
    x, weights = numbers(ROWS, K), numbers(OUT, K)
    x[3, 32:64] = 0

    y, kept = run(name, cpu(), x, weights, tile_rows)

    want = rounded_like(name, x).astype(np.float64) @ kept.astype(np.float64).T
    assert np.abs(y - want).max() <= 2e-6 * np.abs(want).max()


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


@pytest.mark.parametrize("name", NAMES)
def test_every_tile_and_every_cpu_gives_the_same_bits(name: str) -> None:
    """What this CPU has, AVX2 alone, and neither (law 1)."""
    x, weights = numbers(ROWS, K), numbers(OUT, K)
    targets = [cpu(), cpu("x86-64-v3"), cpu("x86-64-v2")]

    products = [run(name, t, x, weights, rows)[0] for t in targets for rows in (1, 8)]

    assert all(np.array_equal(one, products[0]) for one in products)
