"""Products with weights on the interpreter: any format, tile and division, over arrays of numpy."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.formats.base import Format, Packed, Precision, narrowed, widened
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.formats.planes import words_of
from tests.support.cuda_interpreter import launch

from raylax.kernels.cuda.source import matmul, quantised  # isort: skip

Array = npt.NDArray[Any]
PRECISIONS: tuple[Precision, ...] = ("bf16", "f16")
PACKED = [
    form
    for precision in PRECISIONS
    for form in (
        Grouped(precision, 4, 32),
        Grouped(precision, 4, 32, zero=7),
        Grouped(precision, 4, 128),
        Grouped(precision, 8, 32),
        Grouped(precision, 8, 128, floats=True),
        Grouped(precision, 4, 32, floats=True),
    )
]
FORMATS: list[Format] = [*map(Dense, PRECISIONS), *(one for one in PACKED if one.zero == 8)]


class Tile(NamedTuple):
    """How a product is computed, which changes no bit; `inputs` is BK, of dense weights alone."""

    tokens: int = 8
    rows: int = 32
    inputs: int = 64
    walk: bool = False


def numbers(form: Format, *shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Some in the precision of a format's activations."""
    values = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return narrowed(values * np.float32(scale), form.precision)


def known(form: Format) -> dict[str, int | bool]:
    """The constants of packed weights."""
    if not isinstance(form, Grouped):
        return {}
    words = words_of(form.bits)
    span = form.group // words
    return {"WORDS": words, "SPAN": span, "BITS": form.bits, "FLOAT": form.floats}


def given(form: Format, w: Packed) -> dict[str, Any]:
    """The arguments that are the weights."""
    return w | ({"zero": form.zero} if isinstance(form, Grouped) else {})


def linear(
    form: Format,
    x: Array,
    w: Packed,
    features: int,
    segments: int = 1,
    tile: Tile = Tile(),  # noqa: B008
    bias: Array | None = None,
) -> Array:
    """f32[tokens, features], segments added upwards."""
    tokens, depth = x.shape
    y = np.full((1 if tile.walk else segments, tokens, features), np.nan, np.float32)
    packed = isinstance(form, Grouped)
    launch(
        quantised.linear_q if packed else matmul.linear,
        (-(-tokens // tile.tokens) * -(-features // tile.rows), len(y)),
        x=x, **given(form, w), bias=bias, y=y,
        tokens=tokens, features=features, depth=depth, segments=segments,
        BM=tile.tokens, BN=tile.rows, GROUP=8, WALK=tile.walk,
        **(known(form) if packed else {"BK": tile.inputs}),
    )  # fmt: skip
    total: Array = y[0].copy()
    for part in y[1:]:
        total += part
    return total


def gated(
    form: Format,
    x: Array,
    w: Packed,
    features: int,
    tile: Tile = Tile(),  # noqa: B008
    rounded: bool = False,
) -> Array:
    """f32[tokens, features]; or rounded to the format's precision, as a step has it, which hides
    in what order was added. `w` has twice the rows."""
    tokens, depth = x.shape
    y = np.zeros((tokens, features), x.dtype if rounded else np.float32)
    packed = isinstance(form, Grouped)
    launch(
        quantised.gated_q if packed else matmul.gated,
        (-(-tokens // tile.tokens) * -(-features // tile.rows),),
        x=x, **given(form, w), y=y, tokens=tokens, features=features, depth=depth,
        BM=tile.tokens, BN=tile.rows, GROUP=8,
        **(known(form) if packed else {"BK": tile.inputs}),
    )  # fmt: skip
    return y


def dequantised(form: Format, w: Packed, features: int, depth: int) -> Array:
    """f32[features, depth], what the kernel writes."""
    out = narrowed(np.full((features, depth), np.nan, np.float32), "f16")
    out = out.view(np.uint16) if form.precision == "bf16" else out
    blocks = -(-depth // 128)
    launch(
        quantised.dequantise, (-(-features // 32), blocks),
        **given(form, w), w=out, features=features, depth=depth, BN=32, **known(form),
    )  # fmt: skip
    return widened(out, form.precision)
