"""Bodies are unpacked within bounds."""

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from starlette.requests import Request
from starlette.types import Message

from raylax.proto.errors import BodyTooLarge, BodyTooSlow
from raylax.router.access.byte_budget import ByteBudget, Holding
from raylax.router.config import RouterLimits
from raylax.router.http import body
from raylax.router.http.body import received, unpacked

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


@pytest.mark.parametrize(
    ("parts", "pause_s", "total_s", "why"),
    [
        (3, 0.02, 5.0, r"not stop for 0.3 s, there are 6 bytes"),
        (1000, 0.02, 0.5, r"come within 0.5 s, there are \d+ bytes"),
        (1000, 0.0, 0.5, r"not stop for 0.3 s, there are 0 bytes"),
    ],
    ids=["stops", "drips", "sends nothing"],
)
async def test_a_body_that_stops_is_not_waited_for(
    parts: int, pause_s: float, total_s: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sooner than it may take as a whole; parts without a byte are no progress."""
    monkeypatch.setattr(body, "SILENT_S", 0.3)
    left = parts

    async def receive() -> Message:
        nonlocal left
        if not left:
            await asyncio.Event().wait()
        left -= 1
        await asyncio.sleep(pause_s or 0.01)
        return {"type": "http.request", "body": b"{}" if pause_s else b"", "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    holding = Holding(ByteBudget(1 << 20, "bodies"), "bob", lambda: None)

    with pytest.raises(BodyTooSlow, match=why):
        await received(request, RouterLimits(body_timeout_s=total_s), holding)
