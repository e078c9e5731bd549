"""A call whose template never ends: it gets its 400 over HTTP and gRPC, and no other one fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from tests.support.prompt_models import ENDLESS, GREEDY, write_trapped
from tests.support.router_rig import PATIENCE_S, Rig, channel, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAID = "the chat template of tiny may take 0.5 s of CPU"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    path: Path = write_trapped(tmp_path_factory.mktemp("trapped"))
    async with running_router(path, prompt_timeout_s=0.5) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 2, **more}


async def test_nine_of_nine_others_are_answered(client: httpx.AsyncClient) -> None:
    bad = asyncio.create_task(client.post("/v1/chat/completions", json=asked(ENDLESS)))
    await asyncio.sleep(0)
    path = "/v1/chat/completions"
    others = await asyncio.gather(*(client.post(path, json=asked(f"{i}")) for i in range(9)))
    refused = await bad

    assert [reply.status_code for reply in others] == [200] * 9
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
    assert SAID in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages/count_tokens", "/tokenize", "/v1/chat/completions"]
)
@pytest.mark.parametrize("text", [ENDLESS, GREEDY])
async def test_every_way_to_a_template_ends(
    client: httpx.AsyncClient, path: str, text: str
) -> None:
    body = asked(text)
    if path not in ("/v1/messages", "/v1/chat/completions"):
        del body["max_tokens"]
    reply = await client.post(path, json=body)

    assert reply.status_code == 400
    assert "the chat template of tiny" in reply.text


async def test_so_does_that_of_responses(client: httpx.AsyncClient) -> None:
    reply = await client.post("/v1/responses", json={"input": ENDLESS})

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")
    assert SAID in reply.text


async def test_so_does_that_of_grpc(rig: Rig) -> None:
    message = raylax_pb2.Message(role="user", content=ENDLESS)
    async with channel(rig.grpc_address) as made:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(
                raylax_pb2.ChatRequest(messages=[message])
            ):
                pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert SAID in (caught.value.details() or "")
