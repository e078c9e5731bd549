"""SentencePiece's table of letters that are replaced: a trie in an array, and what they become.

The library that looks things up there trusts it, and comes to a bad end where it points outside.
"""

import numpy as np

from raylax.kernels.errors import CheckpointError

UNIT = 4
"""Bytes of one of the trie's."""


def check_charsmap(charsmap: bytes, where: object) -> None:
    """Raises CheckpointError for a table that is damaged."""
    size = int.from_bytes(charsmap[:UNIT], "little")
    texts = charsmap[UNIT + size :]
    whole = size % UNIT == 0 and UNIT <= size <= len(charsmap) - UNIT
    if not whole or not texts.endswith(b"\0") or not is_text(texts):
        raise CheckpointError(f"{where}: its table of letters (precompiled_charsmap) is truncated")
    units = np.frombuffer(charsmap, "<u4", size // UNIT, UNIT).astype(np.int64)
    inner = units >> 31 == 0
    apart = units >> 10 << ((units & 1 << 9) >> 6)  # from a unit to those that follow it
    next_ones = np.arange(len(units)) ^ apart
    ends = next_ones[inner & (units >> 8 & 1 == 1)]
    inner[0] = True  # nobody asks of the first one whether it is
    if (next_ones[inner] | 255).max(initial=0) < len(units):
        begins = units[ends] & (1 << 31) - 1
        letters = np.frombuffer(texts, np.uint8)
        if begins.max(initial=0) < len(texts) and not (letters[begins] & 0xC0 == 0x80).any():
            return
    raise CheckpointError(f"{where}: its table of letters (precompiled_charsmap) points outside")


def is_text(content: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
