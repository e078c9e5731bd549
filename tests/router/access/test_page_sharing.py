"""Who finds whose pages: a tenant learns nothing of what others have asked, unless it may."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc, vllm_engine_pb2_grpc
from raylax.proto.pb import vllm_engine_pb2 as engine_pb2
from raylax.router.access.keys import Key, hash_of
from raylax.router.http.explanation import EXPLANATION
from tests.support.router_rig import PATIENCE_S, Rig, a_router, channel, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = tuple(Key(name, hash_of(f"{name}'s key")) for name in ("alice", "bob"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rigs(checkpoint: Path) -> AsyncIterator[dict[str, Rig]]:
    """Routers before the same worker: one that keeps tenants apart, one that does not, and one
    without keys."""
    async with running_router(checkpoint, keys=KEYS) as apart:
        config = apart.models.config
        async with (
            a_router(replace(config, share_prefixes=True), apart.workers) as sharing,
            a_router(replace(config, keys=()), apart.workers) as open_,
        ):
            yield {"apart": apart, "sharing": sharing, "open": open_}


async def post(rig: Rig, tenant: str, path: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {tenant}'s key"}
    async with httpx.AsyncClient(timeout=PATIENCE_S, headers=headers) as client:
        reply = await client.post(rig.url + path, json=body)
    assert reply.status_code == 200, reply.text


async def chat(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 1, **more}
    await post(rig, tenant, "/v1/chat/completions", body)


async def message(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 1, **more}
    await post(rig, tenant, "/v1/messages", body)


async def completion(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    await post(rig, tenant, "/v1/completions", {"prompt": text, "max_tokens": 1, **more})


async def response(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    await post(rig, tenant, "/v1/responses", {"input": text, "max_output_tokens": 1, **more})


async def embedding(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    await post(rig, tenant, "/v1/embeddings", {"input": text, **more})


async def generated(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    ask = raylax_pb2.GenerateRequest(text=text, sampling=raylax_pb2.Sampling(max_tokens=1), **more)
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        async for _ in stub.Generate(ask, metadata=(("x-api-key", f"{tenant}'s key"),)):
            pass


async def chat_by_grpc(rig: Rig, tenant: str, text: str, **more: Any) -> None:
    messages = [raylax_pb2.Message(role="user", content=text)]
    sampling = raylax_pb2.Sampling(max_tokens=1)
    ask = raylax_pb2.ChatRequest(messages=messages, sampling=sampling, **more)
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        async for _ in stub.Chat(ask, metadata=(("x-api-key", f"{tenant}'s key"),)):
            pass


async def engines_protocol(rig: Rig, tenant: str, text: str) -> None:
    sampling = engine_pb2.SamplingParams(max_tokens=1)
    ask = engine_pb2.GenerateRequest(text=text, sampling_params=sampling)
    async with channel(rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        async for _ in stub.Generate(ask, metadata=(("x-api-key", f"{tenant}'s key"),)):
            pass


Ask = Callable[..., Awaitable[None]]
SALTED: list[Ask] = [
    chat, message, completion, response, embedding, generated, chat_by_grpc,
]  # fmt: skip


def a_prompt() -> str:
    """Nobody has asked it before; it takes several pages."""
    return f"{uuid4().hex[:12]} " * 9


async def cached(rig: Rig, asking: Awaitable[None]) -> int:
    """How many tokens of a prompt the engine had already computed."""
    engine = rig.workers[0].engine
    before = engine.load().cached_tokens
    await asking
    return engine.load().cached_tokens - before


@pytest.mark.parametrize("ask", [*SALTED, engines_protocol], ids=lambda one: one.__name__)
async def test_tenants_do_not_find_each_others_pages(rigs: dict[str, Rig], ask: Ask) -> None:
    """By whatever API they ask; where that is wanted they do, and everybody where there are no
    keys."""
    found = {}
    for name, rig in rigs.items():
        text = a_prompt()
        await ask(rig, "alice", text)
        found[name] = [await cached(rig, ask(rig, tenant, text)) for tenant in ("bob", "alice")]

    assert found["apart"][0] == 0 < found["apart"][1]
    assert found["sharing"][0] == found["sharing"][1] > 0
    assert found["open"][0] == found["open"][1] > 0


@pytest.mark.parametrize("ask", SALTED, ids=lambda one: one.__name__)
async def test_a_salt_keeps_pages_apart_within_a_tenant(rigs: dict[str, Rig], ask: Ask) -> None:
    """For who serves several users by one key. The same salt of another tenant is another one."""
    rig, text = rigs["apart"], a_prompt()
    await ask(rig, "alice", text, cache_salt="one")
    others = [
        await cached(rig, ask(rig, "alice", text, cache_salt="two")),
        await cached(rig, ask(rig, "bob", text, cache_salt="one")),
        await cached(rig, ask(rig, "alice", text)),
    ]

    assert others == [0, 0, 0]
    assert await cached(rig, ask(rig, "alice", text, cache_salt="one")) > 0


async def test_a_router_looks_for_pages_by_the_same_names(rigs: dict[str, Rig]) -> None:
    """A request goes where its own tenant's pages are; its explanation tells of no other's."""
    rig, text, uncached = rigs["apart"], a_prompt(), {}
    for tenant in ("alice", "bob", "alice"):
        headers = {"Authorization": f"Bearer {tenant}'s key", "X-Raylax-Explain": "1"}
        async with httpx.AsyncClient(timeout=PATIENCE_S, headers=headers) as client:
            body = {"prompt": text, "max_tokens": 1}
            reply = await client.post(f"{rig.url}/v1/completions", json=body)
        ((best, *_),) = [one["candidates"] for one in json.loads(reply.headers[EXPLANATION])]
        uncached[tenant] = best["terms"]["uncached"]

    assert uncached["alice"] <= 16 < uncached["bob"]


@pytest.mark.parametrize("salt", ["", "s" * 257, 5, ["s"]])
async def test_a_salt_is_a_short_text(rigs: dict[str, Rig], salt: Any) -> None:
    headers = {"Authorization": "Bearer alice's key"}
    async with httpx.AsyncClient(timeout=PATIENCE_S, headers=headers) as client:
        body = {"prompt": "hi", "cache_salt": salt}
        reply = await client.post(f"{rigs['apart'].url}/v1/completions", json=body)

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "cache_salt")
