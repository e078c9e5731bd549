"""Blocks of a GGUF file as groups: the same codes, scales and minima, and nothing rounded.

Types whose numbers are no multiples of a scale are, if they are multiples of a smaller one: IQ4_NL
and MXFP4 pick theirs from a table of small integers, and the scales of Q3_K's sixteens are integers
that are multiplied in. What has minima for sixteens (Q2_K), or large scales for them (Q6_K), is no
group of ours.
"""

from collections.abc import Callable

import numpy as np
from gguf.quants import IQ4_NL, MXFP4

from raylax.kernels.checkpoints.groups import Array, Bytes, Groups, Kind

HALF = np.uint8(4)
LOW = np.uint8(15)
MIDDLE = 128
"""The code of 0, of 8 bits."""
TABLE = (np.array(IQ4_NL.kvalues, np.int16) + MIDDLE).astype(np.uint8)
FLOATS = (np.array(MXFP4.kvalues, np.int16) + MIDDLE).astype(np.uint8)
"""Codes of e2m1, doubled."""

Reader = Callable[[Kind, Bytes], Groups]
"""Of blocks [rows, blocks, bytes]."""


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
    return np.ascontiguousarray(blocks).reshape(len(blocks), -1)


def two(nibbles: Bytes, width: int) -> Bytes:
    """Low halves of `width` bytes, then their high halves: [..., bytes] -> [..., 2 * bytes]."""
    lines = nibbles.reshape(*nibbles.shape[:-1], -1, width)
    both = np.stack([lines & LOW, lines >> HALF], -2)
    return both.reshape(*nibbles.shape[:-1], -1)


def fours(kind: Kind, blocks: Bytes) -> Groups:
    """Q4_0, Q4_1: their bytes are ours."""
    offset = halves_of(blocks, 2) if kind.offset else None
    size = blocks.shape[2]
    return Groups(kind, flat(taken(blocks, size - 16, size)), halves_of(blocks, 0), offset)


def fives(kind: Kind, blocks: Bytes) -> Groups:
    """Q5_0, Q5_1."""
    high = np.unpackbits(blocks[:, :, -20:-16], axis=2, bitorder="little")
    codes = two(blocks[:, :, -16:], 16) | high << HALF
    if kind.offset:
        return Groups(kind, flat(codes), halves_of(blocks, 0), halves_of(blocks, 2))
    return Groups(kind, flat(codes + np.uint8(MIDDLE - 16)), halves_of(blocks, 0))


def eights(kind: Kind, blocks: Bytes) -> Groups:
    """Q8_0."""
    codes = taken(blocks, 2, 34)
    codes ^= np.uint8(MIDDLE)
    return Groups(kind, flat(codes), halves_of(blocks, 0))


def of_table(kind: Kind, blocks: Bytes) -> Groups:
    """IQ4_NL."""
    return Groups(kind, flat(TABLE[two(blocks[:, :, 2:], 16)]), halves_of(blocks, 0))


def of_table_in_eights(kind: Kind, blocks: Bytes) -> Groups:
    """IQ4_XS."""
    high = np.ascontiguousarray(blocks[:, :, 2:4]).view(np.uint16)
    high = high >> np.arange(0, 16, 2, dtype=np.uint16) & np.uint16(3)
    low = two(blocks[:, :, 4:8], 1)
    inner = (low | high.astype(np.uint8) << HALF).astype(np.float32) - 32
    scale = halves_of(blocks, 0).astype(np.float32)[:, :, None] * inner
    return Groups(kind, flat(TABLE[two(blocks[:, :, 8:], 16)]), scale.reshape(len(blocks), -1))


def floats(kind: Kind, blocks: Bytes) -> Groups:
    """MXFP4: half of a power of two, in bf16."""
    power = blocks[:, :, 0].astype(np.uint16)
    scale = np.where(power < 2, np.uint16(0x20) << power, (power - np.uint16(1)) << np.uint16(7))
    return Groups(kind, flat(FLOATS[two(blocks[:, :, 1:], 16)]), scale)


def levels(kind: Kind, blocks: Bytes) -> Groups:
    """Q4_K, Q5_K: inner scales and minima of 6 bits, the high ones of the last four elsewhere."""
    first, second, third = (blocks[:, :, at : at + 4] for at in (4, 8, 12))
    high = np.uint8(0x30)
    inner = [
        flat(np.concatenate([one & np.uint8(63), nibble | one >> np.uint8(2) & high], 2))
        for one, nibble in ((first, third & LOW), (second, third >> HALF))
    ]
    if kind.bits == 8:
        codes = two(blocks[:, :, -128:], 32)
        bits = blocks[:, :, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
        codes |= bits.reshape(codes.shape) << HALF
    else:
        codes = pairs_of_groups(taken(blocks, 16, 144))
    return Groups(kind, flat(codes), halves_of(blocks, 0), halves_of(blocks, 2), *inner)


def pairs_of_groups(codes: Bytes) -> Bytes:
    """32 bytes with a group in their low halves, and one in their high halves -> 16 of each."""
    whole = codes.view("V16").reshape(-1, 2)
    first, second = (np.ascontiguousarray(whole[:, i]).view(np.uint64) for i in range(2))
    bits, low = np.uint64(4), np.uint64(0x0F0F0F0F0F0F0F0F)
    out = np.empty(whole.shape, whole.dtype)
    out[:, 0] = (first & low | (second & low) << bits).view(whole.dtype)
    out[:, 1] = (first >> bits & low | second & ~low).view(whole.dtype)
    return out.view(np.uint8).reshape(codes.shape)


def sixteens(kind: Kind, blocks: Bytes) -> Groups:
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
    codes = (MIDDLE - products).astype(np.uint8)
    return Groups(kind, flat(codes), -halves_of(blocks, 108).repeat(2, 1))


TYPES: dict[str, tuple[Kind, Reader]] = {
    "Q4_0": (Kind(4), fours),
    "Q4_1": (Kind(4, offset="minimum"), fours),
    "Q5_0": (Kind(8), fives),
    "Q5_1": (Kind(8, offset="minimum"), fives),
    "Q8_0": (Kind(8), eights),
    "IQ4_NL": (Kind(8), of_table),
    "IQ4_XS": (Kind(8, scale="f32"), of_table_in_eights),
    "MXFP4": (Kind(8, scale="bf16"), floats),
    "Q3_K": (Kind(8, 128), sixteens),
    "Q4_K": (Kind(4, scale="levels", offset="minimum"), levels),
    "Q5_K": (Kind(8, scale="levels", offset="minimum"), levels),
}
"""Which kind of groups the blocks of a type are, and what makes them of blocks."""
