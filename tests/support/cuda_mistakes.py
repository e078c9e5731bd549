"""Kernels that may be compiled and those that may not: sources for tests, in Triton's language."""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.matmul import biases, finish, place, rows


@triton.jit
def scaled(x, y, factor, n, BLOCK: tl.constexpr):
    """y = x * factor. Nothing is wrong with it."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n, other=0.0) * factor, mask=at < n)


@triton.jit
def crowded(x, y, BLOCK: tl.constexpr):
    """A tile that has to be whole before any of it is written, of more than there are registers."""
    at = tl.arange(0, BLOCK)
    value = tl.load(x + at)
    tl.store(y + at, value - tl.max(value, 0))


@triton.jit
def described(x, y, BLOCK: tl.constexpr):
    """Makes a tensor descriptor on the device, for which the launcher would have to give memory."""
    tile = tl.make_tensor_descriptor(x, [BLOCK, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    at = tl.arange(0, BLOCK)
    tl.store(y + at[:, None] * BLOCK + at[None, :], tile.load([0, 0]))


@triton.jit
def product(x, y, BLOCK: tl.constexpr):
    """y = x @ x: of floats without the matrix unit, of halves with it."""
    at = tl.arange(0, BLOCK)
    place = at[:, None] * BLOCK + at[None, :]
    value = tl.load(x + place)
    tl.store(y + place, tl.dot(value, value, input_precision="ieee"))


@triton.jit
def product_and_sum(x, y, BLOCK: tl.constexpr):
    """Sums what a product came to across threads."""
    at = tl.arange(0, BLOCK)
    value = tl.load(x + at[:, None] * BLOCK + at[None, :])
    tl.store(y + at, tl.sum(tl.dot(value, value), 0))


@triton.jit
def summed(x, y, BLOCK: tl.constexpr):
    """A row's sum, in an order that follows from the number of warps."""
    tl.store(y, tl.sum(tl.load(x + tl.arange(0, BLOCK)), 0))


@triton.jit
def heaped(x, y, BLOCK: tl.constexpr):
    """Sums in memory, in whatever order programs come."""
    tl.atomic_add(y + tl.arange(0, BLOCK), tl.load(x + tl.arange(0, BLOCK)))


@triton.jit
def voluminous(x, y, BLOCK: tl.constexpr):
    """A product of tiles that do not fit into shared memory."""
    at = tl.arange(0, BLOCK)
    place = at[:, None] * BLOCK + at[None, :]
    for _ in range(4):
        value = tl.load(x + place)
        tl.store(y + place, tl.dot(value, value).to(y.dtype.element_ty))
        x += BLOCK * BLOCK


@triton.jit
def linear(
    x, w, bias, y, tokens, features, depth, segments,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, WALK: tl.constexpr,
):  # fmt: skip
    """As that of `source/matmul.py`, but that a sum goes downwards: right, and with other bits."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, k = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + m.to(tl.int64)[None, :] * depth + k[:, None]
    ws = w + rows(n, features)[:, None] * depth + k[None, :]
    own, part = tl.program_id(1), depth // segments
    total = tl.zeros((BN, BM), tl.float32)
    for back in range(BK, part + 1, BK):
        at = own * part + part - back
        total = tl.dot(tl.load(ws + at), tl.load(xs + at, mask=(m < tokens)[None, :]), total)
    total += biases(bias, n, features, own)
    finish(y + own.to(tl.int64) * tokens * features, total, m, n, tokens, features)


@triton.jit
def spread(named, places, logits, few, stride, BLOCK: tl.constexpr):
    """Gives every token the logit of the one named next to it."""
    row, token = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = tl.load(places + token, mask=token < stride, other=-1)
    beside = tl.where(place + 1 < few, place + 1, 0)
    value = tl.load(named + row * few + beside, mask=place >= 0, other=float("-inf"))
    tl.store(logits + row * stride + token, value, mask=token < stride)
