"""Bodies are unpacked within bounds."""

import gzip
import tracemalloc
import zlib

import pytest

from raylax.proto.errors import BodyTooLarge
from raylax.router.http.body import unpacked

LIMIT = 10_000


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_no_more_is_unpacked_than_a_body_may_have(coding: str, pack: object) -> None:
    """Whatever would come out of it."""
    assert callable(pack)
    bomb = pack(bytes(32 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge, match="10000 bytes"):
            unpacked(bomb, coding, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20
