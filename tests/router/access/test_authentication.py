"""Authentication: who may come in, by HTTP and by gRPC, with which API key."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from raylax.proto.pb import (
    raylax_pb2,
    raylax_pb2_grpc,
    vllm_engine_pb2,
    vllm_engine_pb2_grpc,
)
from raylax.router.access.keys import Key, Keyring, hash_of
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    channel,
    running_router,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALICE, ADMIN = "alice's secret", "the admin's secret"
KEYS = (Key("alice", hash_of(ALICE)), Key("root", hash_of(ADMIN), admin=True))
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 4}
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
DEBUG = "/debug/call_func_on_all_worker"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, keys=KEYS, enable_debug=True) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_key_is_found_by_its_hash() -> None:
    """And a keyring without keys is open."""
    ring = Keyring(KEYS)

    assert [ring.find(secret) for secret in (ALICE, ADMIN, "guess", "")] == [*KEYS, None, None]
    assert (ring.open, Keyring().open) == (False, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("guess"),
        {"Authorization": "Bearer"},
        bearer(hash_of(ALICE)),
        {"Authorization": ALICE},
        {"Authorization": f"Basic {ALICE}"},
        {"x-api-key": "guess"},
        {**bearer("guess"), "x-api-key": ALICE},
    ],
)
@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/models", "/metrics", "/cluster", "/nothing"])
async def test_without_a_known_key_nothing_is_told(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    """In the error body of the API that was asked; the answer says how a key is shown."""
    method = "POST" if path in (CHAT, MESSAGES) else "GET"
    reply = await client.request(method, path, headers=headers, content=b"{")
    error = reply.json()["error"]

    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    if path == MESSAGES:
        assert error["type"] == "authentication_error"
    else:
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert ALICE not in reply.text


@pytest.mark.parametrize("headers", [bearer(ALICE), {"x-api-key": ALICE}, bearer(ADMIN)])
async def test_a_known_key_may_ask(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """In OpenAI's header or Anthropic's; which models there are is told to it, too."""
    body = {**ASK, "model": "tiny"}
    replies = [await client.post(path, json=body, headers=headers) for path in (CHAT, MESSAGES)]
    for path in ("/v1/models", "/usage"):
        replies.append(await client.get(path, headers=headers))

    assert [reply.status_code for reply in replies] == [200] * 4


async def test_health_and_version_are_for_everybody(client: httpx.AsyncClient) -> None:
    paths = ("/health", "/health/live", "/health/ready", "/ping", "/version")

    assert [(await client.get(path)).status_code for path in paths] == [200] * 5


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/cluster", "/cluster/drain/w0", DEBUG])
async def test_what_tells_of_all_is_for_admins(
    client: httpx.AsyncClient, path: str, method: str
) -> None:
    """Processes, addresses, what everybody does: by whatever method."""
    statuses = [
        (await client.request(method, path, headers=headers)).status_code
        for headers in ({}, bearer(ALICE))
    ]

    assert statuses == [401, 403]


async def test_admins_are_told(client: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/cluster"):
        assert (await client.get(path, headers=bearer(ADMIN))).status_code == 200


async def test_debugging_is_for_admins(client: httpx.AsyncClient) -> None:
    body = {"name": "f", "args": [1]}
    replies = [
        await client.post(DEBUG, json=body, headers=headers)
        for headers in ({}, bearer(ALICE), bearer(ADMIN))
    ]

    assert [reply.status_code for reply in replies] == [401, 403, 200]
    assert replies[1].json()["error"]["message"] == ("this needs an admin's API key, alice is none")


async def test_a_refused_body_is_not_read(rig: Rig) -> None:
    """Who has no key cannot make the router read megabytes, or wait for them."""
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        status = await reader.readline()
    writer.close()

    assert status.split()[1] == b"401"


async def test_keys_are_not_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But whose call it was is, where it was refused."""
    caplog.set_level(logging.DEBUG, logger="raylax")
    monkeypatch.setattr("raylax.router.access.refusals.MOST_A_SECOND", 1000)  # others were, too
    for secret in (ALICE, "guess"):
        await client.post(CHAT, json={**ASK, "temperature": "hot"}, headers=bearer(secret))

    assert "tenant=alice" in caplog.text
    assert ALICE not in caplog.text
    assert "guess" not in caplog.text


CHAT_REQUEST = raylax_pb2.ChatRequest(
    messages=[raylax_pb2.Message(role="user", content="hi")],
    sampling=raylax_pb2.Sampling(temperature=0, max_tokens=4),
)


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer guess"),)])
async def test_grpc_refuses_strangers(rig: Rig, metadata: tuple[tuple[str, str], ...]) -> None:
    """Streams, single answers, the engines' protocol and reflection alike."""
    async with channel(rig.grpc_address) as made:
        ours = raylax_pb2_grpc.RaylaxStub(made)
        engine = vllm_engine_pb2_grpc.VllmEngineStub(made)
        errors = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in ours.Chat(CHAT_REQUEST, metadata=metadata):
                pass
        errors.append(caught.value)
        for call in (
            ours.ListModels(raylax_pb2.ListModelsRequest(), metadata=metadata),
            engine.GetModelInfo(vllm_engine_pb2.GetModelInfoRequest(), metadata=metadata),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            errors.append(caught.value)

    def services() -> list[str]:
        with grpc.insecure_channel(rig.grpc_address) as plain:
            return list(ProtoReflectionDescriptorDatabase(plain).get_services())

    assert [error.code() for error in errors] == [grpc.StatusCode.UNAUTHENTICATED] * 3
    for error in errors:
        assert dict(error.trailing_metadata() or ())["error-code"] == "invalid_api_key"
    with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        await asyncio.to_thread(services)


async def test_grpc_lets_a_known_key_in(rig: Rig) -> None:
    """Health is for everybody: those who balance load have no key."""
    metadata = (("authorization", f"Bearer {ALICE}"),)
    async with channel(rig.grpc_address) as made:
        chat = raylax_pb2_grpc.RaylaxStub(made).Chat(CHAT_REQUEST, metadata=metadata)
        replies = [reply async for reply in chat]
        models = await raylax_pb2_grpc.RaylaxStub(made).ListModels(
            raylax_pb2.ListModelsRequest(), metadata=(("x-api-key", ALICE),)
        )
        health = await health_pb2_grpc.HealthStub(made).Check(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest()
        )

    assert replies[-1].finish_reason == "length"
    assert [model.id for model in models.models] == ["tiny"]
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_open_router_takes_any_key(checkpoint: Path) -> None:
    """Clients of OpenAI's library must send one; everybody may debug there."""
    async with (
        running_router(checkpoint, enable_debug=True) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        asked = await client.post(CHAT, json=ASK, headers=bearer("none"))
        debugged = await client.post(DEBUG, json={"name": "f"})

    assert (asked.status_code, debugged.status_code) == (200, 200)
