"""What one tenant does leaves room for another, whatever is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from raylax.router.access.keys import Key, hash_of
from tests.support.router_rig import PATIENCE_S, Rig, running_router, until

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
MANY: dict[str, Any] = {"prompt": ["a", "b"], "n": 4, "max_tokens": 9, "ignore_eos": True}
KEYS = tuple(Key(name, hash_of(name)) for name in ("alice", "bob"))


@asynccontextmanager
async def router_of_two(checkpoint: Path, **limits: Any) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, keys=KEYS, **limits) as rig:
        yield rig


def client_of(rig: Rig, name: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {name}"}
    return httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S, headers=headers)


async def test_a_call_of_many_sequences_leaves_places(checkpoint: Path) -> None:
    """It counts as what it comes to, and beside it another has a part of its own."""
    async with (
        router_of_two(checkpoint, max_inflight=8) as rig,
        client_of(rig, "alice") as alice,
        client_of(rig, "bob") as bob,
    ):
        rig.workers[0].hold(steps=0)
        greedy = asyncio.create_task(bob.post(COMPLETIONS, json=MANY))
        await until(lambda: len(rig.models.state.places) == 8)
        refused = await bob.post(CHAT, json=ASK)
        asking = asyncio.create_task(alice.post(CHAT, json=ASK))
        await until(lambda: len(rig.models.state.places) == 9 or asking.done())
        rig.workers[0].let_go()

        assert (refused.status_code, (await asking).status_code) == (429, 200)
        assert "room for 0 more of yours" in refused.json()["error"]["message"]
        assert (await greedy).status_code == 200
        assert len(rig.models.state.places) == 0


async def test_a_call_with_more_sequences_than_places_is_wrong(checkpoint: Path) -> None:
    """No waiting helps it."""
    async with router_of_two(checkpoint, max_inflight=7) as rig, client_of(rig, "bob") as bob:
        reply = await bob.post(COMPLETIONS, json=MANY)

    assert (reply.status_code, reply.headers.get("retry-after")) == (400, None)
    assert "at most 7 requests at once, this call comes to 8" in reply.json()["error"]["message"]
