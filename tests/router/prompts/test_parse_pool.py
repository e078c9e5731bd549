"""Large requests are read on threads, of which those of one tenant never have all."""

import asyncio
import threading

from raylax.router.prompts.parse_pool import AT_ONCE, SMALL_BYTES, ParsePool

LARGE = 1 << 20


async def test_large_requests_leave_a_thread_to_others() -> None:
    """While those of one tenant are read, another's is, and so is a small one of its own."""
    pool, let_go = ParsePool(), threading.Event()
    try:
        large = [
            asyncio.create_task(pool.read(LARGE, let_go.wait, "a", 1.0)) for _ in range(3 * AT_ONCE)
        ]
        async with asyncio.timeout(20):
            assert await pool.read(SMALL_BYTES + 1, lambda: "b's", "b", 1.0) == "b's"
            assert await pool.read(SMALL_BYTES + 1, lambda: "a's", "a", 1.0) == "a's"
            assert await pool.read(1, lambda: "small", "a", 1.0) == "small"
    finally:
        let_go.set()
    assert await asyncio.gather(*large) == [True] * len(large)
