"""What lies between products, on the device: sums to the bit, norms and rotations against float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from machine import Array, Machine
from packing.carried import biased
from part import Part, hold

from raylax.kernels.cuda.formats.base import DTYPES, Precision, narrowed, widened
from raylax.kernels.cuda.pages import KV, PageLayout, decoded
from raylax.kernels.cuda.variants import pointwise
from raylax.kernels.cuda.variants.attention import AttentionShape
from raylax.kernels.spec import DecoderSpec

EPS, ROWS, PARTS = 1e-5, 5, 4
MOST_ERROR = 5e-3
"""Of the rounding to bf16, relative."""
BYTE_ERROR = {"int8": 0.01, "fp8": 0.07}
"""Of keys and values as bytes: of the largest number of a vector."""


def run(part: Part, machine: Machine) -> None:
    demo = machine.kit.demo
    if machine.small:
        checked(part, Pointwise(machine, demo), ("plain", "int8"))
        return
    checked(part, Pointwise(machine, demo), ("plain", "int8", "fp8"))
    checked(part, Pointwise(machine, demo, "f16"), ("plain",))
    checked(part, Pointwise(machine, biased(demo)), ("plain",))
    checked(part, Pointwise(machine, machine.kit.timed), ("plain",))


def checked(part: Part, one: "Pointwise", kvs: tuple[KV, ...]) -> None:
    """`kvs`: of the keys and values that are appended."""
    kind = f"{one.precision} {one.spec.hidden}" + (" bias" if one.spec.qkv_bias else "")
    part.check(f"embed {kind}", one.embed)
    part.check(f"add_norm {kind}", one.add_norm)
    part.check(f"final_norm {kind}", one.final_norm)
    for kv in kvs:
        part.check(f"rope_append {kind} {kv}", lambda kv=kv: one.rope_append(kv))
    one.machine.forget()


@dataclass
class Pointwise:
    """The kernels of one model's sizes."""

    machine: Machine
    spec: DecoderSpec
    precision: Precision = "bf16"

    def embed(self) -> str:
        """Rows as they are; an id that is none is the nearest."""
        width, vocab = self.spec.hidden, 64
        table = self.normal_halves(vocab, width)
        ids = np.array([0, 7, vocab - 1, vocab + 5, -3], np.int32)
        out, variant = (
            self.machine.room(len(ids) * width * 4),
            pointwise.embed(self.precision, width),
        )
        self.launch(variant, (len(ids),), ids, table, out, width, vocab)
        found = self.machine.get(out, (len(ids), width), np.float32)
        expected = self.wide(table)[np.clip(ids, 0, vocab - 1)]
        hold(np.array_equal(found, expected), "rows of other tokens")
        return f"{len(ids)} rows equal"

    def add_norm(self) -> str:
        """The residual's bits, and the norm; a row alone has the bits that it has among others."""
        width, bias = self.spec.hidden, self.bias(self.spec.output_bias, self.spec.hidden)
        hidden, parts = self.normal(ROWS, width), self.normal(PARTS, ROWS, width)
        weight = self.normal_halves(width)
        total = hidden + (upwards(parts) + self.wide(bias))
        exact = rms(total) * self.wide(weight)
        after, y = self.normed(hidden, parts, bias, weight)
        hold(np.array_equal(after, total), "segments are not added upwards")
        off = relative(self.wide(y), exact)
        hold(off < MOST_ERROR, f"off by {off:.1e}")
        _, alone = self.normed(hidden[2:3].copy(), parts[:, 2:3].copy(), bias, weight)
        hold(np.array_equal(alone[0], y[2]), "a row alone has other bits")
        return f"sums equal, off by {off:.1e}"

    def normed(
        self, hidden: Array, parts: Array, bias: Array, weight: Array
    ) -> tuple[Array, Array]:
        machine, (rows, width), has = self.machine, hidden.shape, self.spec.output_bias
        state, y = machine.put(hidden), machine.room(rows * width * 2)
        variant = pointwise.add_norm(self.precision, width, len(parts), has)
        self.launch(variant, (rows,), state, parts, bias, weight, y, rows, width, EPS)
        after = machine.get(state, hidden.shape, np.float32)
        return after, machine.get(y, hidden.shape, weight.dtype)

    def final_norm(self) -> str:
        """Of some rows; one that is nobody's is not written."""
        width, machine = self.spec.hidden, self.machine
        hidden, parts = self.normal(ROWS, width), self.normal(PARTS, ROWS, width)
        weight, rows = self.normal_halves(width), np.array([3, -1, 0], np.int32)
        untouched = np.full((len(rows), width), 7, np.float32)
        y, states = machine.room(len(rows) * width * 2), machine.put(untouched)
        self.launch(
            pointwise.final_norm(self.precision, width, PARTS), (len(rows),),
            hidden, parts, 0, weight, rows, y, states, ROWS, width, EPS,
        )  # fmt: skip
        found = machine.get(states, untouched.shape, np.float32)
        halves = machine.get(y, untouched.shape, weight.dtype)
        exact = rms(hidden + upwards(parts)) * self.wide(weight)
        off = relative(found[[0, 2]], exact[[3, 0]])
        hold(off < 1e-4, f"off by {off:.1e}")
        hold(np.array_equal(found[1], untouched[1]), "a row of nobody was written")
        same = np.array_equal(halves[[0, 2]], narrowed(found[[0, 2]], self.precision))
        hold(same, f"{self.precision} is not the state, rounded")
        return f"off by {off:.1e}"

    def rope_append(self, kv: KV) -> str:
        """Queries, and keys and values in their pages; a token without a slot leaves none."""
        spec, machine = self.spec, self.machine
        shape = AttentionShape(spec.heads, spec.kv_heads, spec.head_dim, self.precision, kv)
        heads, dim, pages = spec.heads + 2 * spec.kv_heads, spec.head_dim, 3
        parts, bias = self.normal(PARTS, ROWS, heads, dim), self.bias(spec.qkv_bias, heads, dim)
        angles = machine.rng.uniform(0, 6, (8, dim // 2))
        positions = np.array([0, 5, 7, 2, 1], np.int32)
        slots = np.array([3, 40, -1, 17, 16], np.int32)
        layout = PageLayout(1, spec.kv_heads, dim, kv)
        blank = np.full(layout.codes(pages), 99, np.int8 if layout.has_scales else np.uint16)
        sizes, q = (
            np.zeros(layout.scales(pages), np.float32),
            machine.room(ROWS * spec.heads * dim * 2),
        )
        codes, scales = machine.put(blank), machine.put(sizes)
        cos, sin = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
        self.launch(
            pointwise.rope_append(shape, PARTS, spec.qkv_bias),
            (ROWS, -(-heads // pointwise.HEADS_AT_ONCE)),
            parts, bias, positions, slots, cos, sin, q, codes, scales, ROWS,
        )  # fmt: skip
        turned = rotated(upwards(parts) + self.wide(bias), cos[positions], sin[positions], spec)
        queries = self.wide(machine.get(q, (ROWS, spec.heads, dim), DTYPES[self.precision]))
        off = relative(queries, turned[:, : spec.heads])
        hold(off < MOST_ERROR, f"queries are off by {off:.1e}")
        found, scale = (
            machine.get(codes, blank.shape, blank.dtype),
            machine.get(scales, sizes.shape, np.float32),
        )
        written = np.zeros((pages, blank.shape[3]), bool)
        worst = 0.0
        for token in np.flatnonzero(slots >= 0):
            page, at = divmod(int(slots[token]), blank.shape[3])
            written[page, at] = True
            expected = turned[token, spec.heads :].reshape(2, spec.kv_heads, dim)
            values = self.read(found[page, :, :, at], scale[page, :, :, at], kv)
            off_by = np.abs(values - expected) / np.abs(expected).max(-1, keepdims=True)
            worst = float(np.maximum(worst, off_by.max()))  # NaN, if one is
        hold(
            worst < BYTE_ERROR.get(kv, 0.01),
            f"keys and values are off by {worst:.1e} of their vector's largest",
        )
        others = found.transpose(0, 3, 1, 2, 4)[~written]
        hold(
            np.array_equal(others, np.full_like(others, 99)),
            "other places of the pages were written",
        )
        return f"off by {off:.1e}, keys and values by {worst:.1e} of their vector's largest"

    def read(self, codes: Array, scales: Array, kv: KV) -> Array:
        """The numbers of vectors in a page."""
        if kv == "plain":
            return self.wide(codes.view(DTYPES[self.precision]))
        return decoded(codes, kv) * scales[..., None]

    def launch(self, variant: Any, grid: tuple[int, ...], *given: Any) -> None:
        """Arrays are put on the device."""
        machine = self.machine
        places = (machine.put(one) if isinstance(one, np.ndarray) else one for one in given)
        machine.run(machine.kernel(variant).launch(grid, *places))

    def normal(self, *shape: int) -> Array:
        return self.machine.rng.standard_normal(shape, np.float32)

    def normal_halves(self, *shape: int) -> Array:
        """In the model's precision."""
        return narrowed(self.normal(*shape), self.precision)

    def bias(self, has: bool, *shape: int) -> Array:
        """In the model's precision; zeros, where there is none."""
        return narrowed(self.normal(*shape) * np.float32(has), self.precision)

    def wide(self, halves: Array) -> Array:
        """As float32."""
        return widened(halves, self.precision)


def upwards(parts: Array) -> Array:
    """Segments added in order, in float32."""
    total = np.zeros_like(parts[0])
    for part in parts:
        total = total + part
    return total


def rms(x: Array) -> Array:
    wide = x.astype(float)
    return wide / np.sqrt((wide**2).mean(-1, keepdims=True) + EPS)


def relative(found: Array, exact: Array) -> float:
    return float((np.abs(found - exact) / (np.abs(exact) + 1e-3)).max())


def rotated(x: Array, cos: Array, sin: Array, spec: DecoderSpec) -> Array:
    """Queries and keys by their positions; values as they are."""
    half, turned = spec.head_dim // 2, spec.heads + spec.kv_heads
    low, high = x[..., :half].astype(float), x[..., half:].astype(float)
    c, s = cos[:, None], sin[:, None]
    out = np.concatenate([low * c - high * s, high * c + low * s], -1)
    out[:, turned:] = x[:, turned:]
    return out
