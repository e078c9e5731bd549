"""Digits of 4 or 8 bits in the order in which `source/quantised.py` reads them.

A block of 128 inputs is so many int32 words as a plane has inputs: word i holds, in digit j, the
block's input j * words + i. A plane is all digits j, so a tile of consecutive inputs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 128
"""Inputs of a block, whatever their bits."""
Codes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]


def words_of(bits: int) -> int:
    """How many words a block has: 16 of 4 bits, 32 of 8."""
    return BLOCK * bits // 32


def packed_planes(codes: Codes, bits: int) -> Words:
    """Whole blocks of digits, packed as `kernels/checkpoints/groups.py` has them: [rows, bytes] as
    [rows, blocks * words]."""
    planes: npt.NDArray[Any] = codes.reshape(len(codes), -1, 4, words_of(bits))
    together = np.ascontiguousarray(planes.transpose(0, 1, 3, 2))
    return together.view("<i4").reshape(len(codes), -1).astype(np.int32, copy=False)


def digits(words: Words, bits: int) -> Codes:
    """The digits of `packed_planes`, [rows, blocks * 128]."""
    rows = len(words)
    blocks = np.ascontiguousarray(words, "<i4").view(np.uint8).reshape(rows, -1, words_of(bits), 4)
    planes: npt.NDArray[Any] = blocks.transpose(0, 1, 3, 2)
    if bits == 4:
        planes = np.stack([planes & 15, planes >> 4], 3)
    return planes.reshape(rows, -1)
