"""Keys that change while a router serves: whoever has none any more is shut out at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.vocabulary import Priority
from raylax.router.access.keys import Key, as_json, from_json, hash_of
from tests.support.router_rig import PATIENCE_S, Rig, channel, running_router, until

ALICE, BOB = Key("alice", hash_of("hers")), Key("bob", hash_of("his"), requests_per_minute=9)
CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20, "ignore_eos": True,
}  # fmt: skip


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, keys=(ALICE, BOB)) as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """Its connection stays."""
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


def change(rig: Rig, *keys: Key) -> None:
    """As Serve tells a router that runs."""
    rig.models.change_keys(from_json(as_json(keys)))


async def status(client: httpx.AsyncClient, key: str, path: str = "/v1/models") -> int:
    return (await client.get(path, headers={"x-api-key": key})).status_code


def test_keys_survive_the_way_to_a_router() -> None:
    keys = (ALICE, Key("c", "0" * 64, True, Priority.LOW, 1, 2, 3, 0.5))

    assert from_json(as_json(keys)) == keys


async def test_a_key_that_was_removed_lets_nobody_in(rig: Rig, client: httpx.AsyncClient) -> None:
    """By connections that are there already, HTTP's and gRPC's, too; others go on."""
    request, hers = raylax_pb2.ListModelsRequest(), (("x-api-key", "hers"),)
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        before = await status(client, "hers")
        await stub.ListModels(request, metadata=hers)
        change(rig, BOB)
        after = await status(client, "hers")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListModels(request, metadata=hers)
        await stub.ListModels(request, metadata=(("x-api-key", "his"),))

    assert (before, after) == (200, 401)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert await status(client, "his") == 200


async def test_a_key_that_is_exchanged_goes_on_with_what_it_has_used(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """The tenant is the same, with the same limits: a new key is no new minute."""
    for _ in range(9):
        await status(client, "his")
    exhausted = await status(client, "his")
    change(rig, ALICE, replace(BOB, sha256=hash_of("his next")))

    assert exhausted == 429
    assert await status(client, "his") == 401
    assert await status(client, "his next") == 429
    change(rig, ALICE, replace(BOB, requests_per_minute=90))
    assert await status(client, "his") == 200
    change(rig, ALICE, replace(BOB, requests_per_minute=None))
    assert await status(client, "his") == 200


async def test_answers_that_run_go_on(rig: Rig, client: httpx.AsyncClient) -> None:
    """To their ends. Who has been let in before may read what was asked then, and comes back to
    none of it."""
    rig.workers[0].hold(steps=2)
    kept = {"x-api-key": "hers", "X-Raylax-Resume": "30"}
    asking = asyncio.create_task(client.post(CHAT, json={**ASK, "stream": True}, headers=kept))
    await until(lambda: rig.service.journal)
    change(rig, BOB)
    rig.workers[0].let_go()
    answer = await asking

    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")
    call_id = answer.headers["X-Raylax-Call-Id"]
    assert await status(client, "hers", f"/v1/streams/{call_id}") == 401
    assert rig.models.state.rate_limiter.open("alice") == 0


async def test_an_open_router_asks_for_keys_from_now_on(checkpoint: Path) -> None:
    """And minds no longer which page asks: none has a key."""

    async def foreign(client: httpx.AsyncClient) -> int:
        page = {"Origin": "https://elsewhere.example"}
        return (await client.get("/health", headers=page)).status_code

    async with (
        running_router(checkpoint) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        before = [await status(client, ""), await foreign(client)]
        change(rig, ALICE)
        after = [await status(client, ""), await foreign(client)]
        known = await status(client, "hers")

    assert (before, after, known) == ([200, 403], [401, 200], 200)
