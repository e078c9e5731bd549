"""Names of KV pages: a page is known by its tokens and all tokens before them.

Engines find pages by these names, and routers know by them which engine has which.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import pack

PAGE_SIZE = 16
"""Tokens of a page."""
ROOT = b""
"""What precedes the first page."""


def pages_for(tokens: int) -> int:
    """Pages that so many tokens take; the last one may be part full."""
    return -(-tokens // PAGE_SIZE)


def chain(parent: bytes, tokens: Sequence[int]) -> bytes:
    """The name of a full page: its tokens, after the page named `parent`."""
    return blake2b(parent + pack(f"{len(tokens)}i", *tokens), digest_size=16).digest()


def names_of(tokens: Sequence[int]) -> Iterator[bytes]:
    """The names of the full pages of a sequence, in order."""
    name = ROOT
    for start in range(0, len(tokens) - PAGE_SIZE + 1, PAGE_SIZE):
        name = chain(name, tokens[start : start + PAGE_SIZE])
        yield name


def router_key(name: bytes) -> int:
    """64 bits of a name, by which routers know a page: two pages of one key cost a detour."""
    return int.from_bytes(name[:8], "little")
