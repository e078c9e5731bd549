"""What one tenant does leaves room for another, whatever is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.shares import Shares
from raylax.router.access import authentication
from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.models import Models
from tests.support.router_rig import PATIENCE_S, Rig, channel, running_router, until

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


async def test_open_calls_leave_room_for_another(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they ask, and by which API. Whether the router lives is told to everybody."""
    monkeypatch.setattr(authentication, "MOST_OPEN", 2)
    models = raylax_pb2.ListModelsRequest()
    async with (
        router_of_two(checkpoint) as rig,
        client_of(rig, "alice") as alice,
        client_of(rig, "bob") as bob,
        channel(rig.grpc_address) as made,
    ):
        rig.workers[0].hold(steps=0)
        asking = [asyncio.create_task(bob.post(CHAT, json=ASK)) for _ in range(2)]
        await until(lambda: len(rig.models.state.places) == 2)
        stub = raylax_pb2_grpc.RaylaxStub(made)
        refused = await bob.get("/v1/models")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListModels(models, metadata=(("authorization", "Bearer bob"),))
        served = await alice.get("/v1/models")
        await stub.ListModels(models, metadata=(("authorization", "Bearer alice"),))
        health = await bob.get("/health")
        rig.workers[0].let_go()

        assert (refused.status_code, served.status_code, health.status_code) == (429, 200, 200)
        assert "no room for more than 2 of yours" in refused.json()["error"]["message"]
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert {(await one).status_code for one in asking} == {200}
        assert (await bob.get("/v1/models")).status_code == 200


class Told:
    """How much of everything bounded each of two tenants has a right to, in a router whose keys
    say three to one."""

    def __init__(self, models: Models) -> None:
        state = models.state
        service = models.any()
        self.bounded: dict[str, Shares] = {
            "places": state.places._shares,
            "kept answers": state.kept_answers._shares,
            "their bytes": state.kept_answers._bytes,
            "bodies": state.bodies._shares,
            "answers": state.answers._shares,
            "timelines": state.timelines._shares,
            "waiting prompts": state.prompts._turns._room,
            "waiting bodies": state.parse_pool._turns._room,
            "open calls": models.authenticator._open,
            "moves": service.dispatcher.retry_budget._moves,
        }

    def parts(self, *tenants: str) -> dict[str, tuple[float, ...]]:
        found = {}
        for name, shares in self.bounded.items():
            for tenant in tenants:
                shares.move_in(tenant, 1)
            found[name] = tuple(round(shares.part(tenant) / shares.total, 2) for tenant in tenants)
            for tenant in tenants:
                shares.give_back(tenant, 1)
        return found


async def test_every_part_is_by_the_shares_of_keys(checkpoint: Path) -> None:
    """As they are: keys may change."""
    keys = (Key("alice", hash_of("alice"), share=3.0), Key("bob", hash_of("bob")))
    async with running_router(checkpoint, keys=keys) as rig:
        told = Told(rig.models)
        assert set(told.parts("alice", "bob").values()) == {(0.75, 0.25)}
        rig.models.change_keys(KEYS)
        assert set(told.parts("alice", "bob").values()) == {(0.5, 0.5)}
