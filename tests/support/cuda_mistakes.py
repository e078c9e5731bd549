"""Kernels that may be compiled and those that may not: sources for tests, in Triton's language."""

import triton
import triton.language as tl


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
