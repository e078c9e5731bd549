"""Blocks of a GGUF file as groups: the same codes, scales and minima, and nothing rounded.

Types whose numbers are no multiples of a scale are, if they are multiples of a smaller one: IQ4_NL
picks its from a table of small integers, and the scales of Q3_K's sixteens are integers that are
multiplied in. What has minima for sixteens (Q2_K), or large scales for them (Q6_K), is no
group of ours.
"""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np
from gguf.quants import IQ4_NL

from raylax.kernels.checkpoints.groups import Array, Bytes, Groups, Kind

HALF = np.uint8(4)
LOW = np.uint8(15)
MIDDLE = 128
"""The code of 0, of 8 bits."""
TABLE = (np.array(IQ4_NL.kvalues, np.int16) + MIDDLE).astype(np.uint8)

Reader = Callable[[Bytes], Bytes]
"""Of blocks [rows, blocks, bytes], their codes, a block's one after the other."""
Scales = Callable[[Bytes], tuple[Array, ...]]
"""What `Groups` has behind the codes."""


class Type(NamedTuple):
    """Which groups the blocks of a type are."""

    kind: Kind
    codes: Reader
    scales: Scales

    def groups(self, blocks: Bytes) -> Groups:
        """Of blocks [rows, blocks, bytes]."""
        return Groups(self.kind, flat(self.codes(blocks)), *self.scales(blocks))


def halves_of(blocks: Bytes, at: int) -> Array:
    """The f16 that is `at` this byte of each: [rows, blocks]."""
    return np.ascontiguousarray(blocks[:, :, at : at + 2].view(np.float16))[:, :, 0]


def taken(blocks: Bytes, first: int, end: int) -> Bytes:
    """These bytes of each, side by side: copied as one number each, which is nine times as fast."""
    size = end - first
    whole = np.ascontiguousarray(blocks[:, :, first:end].view(f"V{size}"))
    return whole.view(np.uint8).reshape(*blocks.shape[:2], size)


def flat(blocks: Bytes) -> Bytes:
    """[rows, bytes] of [rows, blocks, ...]."""
    rows, *inner = blocks.shape
    return np.ascontiguousarray(blocks).reshape(rows, prod(inner))


def two(nibbles: Bytes, width: int) -> Bytes:
    """Low halves of `width` bytes, then their high halves: [..., bytes] -> [..., 2 * bytes]."""
    lines = nibbles.reshape(*nibbles.shape[:-1], -1, width)
    both = np.stack([lines & LOW, lines >> HALF], -2)
    return both.reshape(*nibbles.shape[:-1], -1)


def one_half(blocks: Bytes) -> tuple[Array, ...]:
    """A scale is the first f16."""
    return (halves_of(blocks, 0),)


def two_halves(blocks: Bytes) -> tuple[Array, ...]:
    """A minimum follows."""
    return halves_of(blocks, 0), halves_of(blocks, 2)


def fours(blocks: Bytes) -> Bytes:
    """Q4_0, Q4_1, MXFP4: their bytes are ours."""
    size = blocks.shape[2]
    return taken(blocks, size - 16, size)


def fives(blocks: Bytes) -> Bytes:
    """Q5_1."""
    high = np.unpackbits(blocks[:, :, -20:-16], axis=2, bitorder="little")
    return two(blocks[:, :, -16:], 16) | high << HALF


def fives_below_0(blocks: Bytes) -> Bytes:
    """Q5_0."""
    return fives(blocks) + np.uint8(MIDDLE - 16)


def eights(blocks: Bytes) -> Bytes:
    """Q8_0."""
    codes = taken(blocks, 2, 34)
    codes ^= np.uint8(MIDDLE)
    return codes


def of_table(blocks: Bytes) -> Bytes:
    """IQ4_NL."""
    return TABLE[two(blocks[:, :, 2:], 16)]


def of_table_in_eights(blocks: Bytes) -> Bytes:
    """IQ4_XS."""
    return TABLE[two(blocks[:, :, 8:], 16)]


def scales_of_eights(blocks: Bytes) -> tuple[Array, ...]:
    """IQ4_XS: 6 bits of each of eight groups, times an f16."""
    high = np.ascontiguousarray(blocks[:, :, 2:4]).view(np.uint16)
    high = high >> np.arange(0, 16, 2, dtype=np.uint16) & np.uint16(3)
    low = two(blocks[:, :, 4:8], 1)
    inner = (low | high.astype(np.uint8) << HALF).astype(np.float32) - 32
    scale = halves_of(blocks, 0).astype(np.float32)[:, :, None] * inner
    return (scale.reshape(len(blocks), inner.shape[1] * 8),)


def powers(blocks: Bytes) -> tuple[Array, ...]:
    """MXFP4: half of a power of two, in bf16."""
    power = blocks[:, :, 0].astype(np.uint16)
    return (np.where(power < 2, np.uint16(0x20) << power, (power - np.uint16(1)) << np.uint16(7)),)


def levels(blocks: Bytes) -> tuple[Array, ...]:
    """Q4_K, Q5_K: inner scales and minima of 6 bits, the high ones of the last four elsewhere."""
    first, second, third = (blocks[:, :, at : at + 4] for at in (4, 8, 12))
    high = np.uint8(0x30)
    inner = (
        flat(np.concatenate([one & np.uint8(63), nibble | one >> np.uint8(2) & high], 2))
        for one, nibble in ((first, third & LOW), (second, third >> HALF))
    )
    return *two_halves(blocks), *inner


def fives_in_levels(blocks: Bytes) -> Bytes:
    """Q5_K."""
    codes = two(blocks[:, :, -128:], 32)
    bits = blocks[:, :, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
    codes |= bits.reshape(codes.shape) << HALF
    return codes


def fours_in_levels(blocks: Bytes) -> Bytes:
    """Q4_K: 32 bytes with a group in their low halves, and one in their high halves -> 16 of
    each."""
    codes = taken(blocks, 16, 144)
    whole = codes.view("V16").reshape(-1, 2)
    first, second = (np.ascontiguousarray(whole[:, i]).view(np.uint64) for i in range(2))
    bits, low = np.uint64(4), np.uint64(0x0F0F0F0F0F0F0F0F)
    out = np.empty(whole.shape, whole.dtype)
    out[:, 0] = (first & low | (second & low) << bits).view(whole.dtype)
    out[:, 1] = (first >> bits & low | second & ~low).view(whole.dtype)
    return out.view(np.uint8).reshape(codes.shape)


def sixteens(blocks: Bytes) -> Bytes:
    """Q3_K: a scale of a sixteenth times its numbers is -124..128; of the other sign it fits."""
    rows, count = blocks.shape[:2]
    nibbles = blocks[:, :, 96:104]
    low = np.concatenate([nibbles & LOW, nibbles >> HALF], 2)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    high = (blocks[:, :, None, 104:108] >> shifts & np.uint8(3)).reshape(low.shape)
    inner = (low | high << HALF).view(np.int8) - np.int8(32)
    parts = blocks[:, :, 32:96].reshape(rows, count, 2, 1, 32)
    two_bits = (parts >> shifts & np.uint8(3)).reshape(rows, count, 256)
    bits = blocks[:, :, None, :32] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
    numbers = (two_bits | bits.reshape(two_bits.shape) << np.uint8(2)).view(np.int8) - np.int8(4)
    products = numbers.reshape(rows, count, 16, 16).astype(np.int16) * inner[..., None]
    codes: Bytes = (MIDDLE - products).astype(np.uint8)
    return codes


def of_sixteens(blocks: Bytes) -> tuple[Array, ...]:
    """Q3_K."""
    return (-halves_of(blocks, 108).repeat(2, 1),)


TYPES: dict[str, Type] = {
    "Q4_0": Type(Kind(4), fours, one_half),
    "Q4_1": Type(Kind(4, offset="minimum"), fours, two_halves),
    "Q5_0": Type(Kind(8), fives_below_0, one_half),
    "Q5_1": Type(Kind(8, offset="minimum"), fives, two_halves),
    "Q8_0": Type(Kind(8), eights, one_half),
    "IQ4_NL": Type(Kind(8), of_table, one_half),
    "IQ4_XS": Type(Kind(8, scale="f32"), of_table_in_eights, scales_of_eights),
    "MXFP4": Type(Kind(4, scale="bf16", table="e2m1"), fours, powers),
    "Q3_K": Type(Kind(8, 128), sixteens, of_sixteens),
    "Q4_K": Type(Kind(4, scale="levels", offset="minimum"), fours_in_levels, levels),
    "Q5_K": Type(Kind(8, scale="levels", offset="minimum"), fives_in_levels, levels),
}
"""Those that are groups, by ggml's names."""
