"""Names of KV pages: a page is known by its tokens, all tokens before them, and a root.

Engines find pages by these names, and routers know by them which engine has which. Requests of
different roots share no page: what one has asked does not make another faster, nor is it counted
among its cached tokens ("I Know What You Asked", Wu et al., NDSS 2025).
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import pack

PAGE_SIZE = 16
"""Tokens of a page."""
NAME_BYTES = 16
ROOT = b""
"""What precedes the first page of those who share them with everybody."""


def root_of(tenant: str, salt: str) -> bytes:
    """What precedes the first page of who shares pages within a tenant, and of those with who
    brings the same salt; ROOT without either. It is no name that `chain` gives."""
    if not tenant and not salt:
        return ROOT
    said = f"{len(tenant)}:{tenant}{salt}".encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=NAME_BYTES, person=b"root of pages").digest()


def pages_for(tokens: int) -> int:
    """Pages that so many tokens take; the last one may be part full."""
    return -(-tokens // PAGE_SIZE)


def chain(parent: bytes, tokens: Sequence[int]) -> bytes:
    """The name of a full page: its tokens, after the page named `parent`."""
    return blake2b(parent + pack(f"{len(tokens)}i", *tokens), digest_size=NAME_BYTES).digest()


def names_of(tokens: Sequence[int], root: bytes = ROOT) -> Iterator[bytes]:
    """The names of the full pages of a sequence, in order."""
    name = root
    for start in range(0, len(tokens) - PAGE_SIZE + 1, PAGE_SIZE):
        name = chain(name, tokens[start : start + PAGE_SIZE])
        yield name


def router_key(name: bytes) -> int:
    """64 bits of a name, by which routers know a page: two pages of one key cost a detour."""
    return int.from_bytes(name[:8], "little")
