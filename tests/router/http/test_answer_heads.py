"""An answer's head is short, whatever was asked: proxies have 502s and 500s for long ones."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
import pytest_asyncio

from raylax.proto.errors import InvalidRequest
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from tests.support.router_rig import PATIENCE_S, Rig, channel, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
HAPROXY = 16 << 10
ROOM = 4 << 10
"""What others may add on the way."""
ORIGIN = "https://chat.example.org"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
UNKNOWN = {f"{'x' * 60}{i}": 1 for i in range(7)}
ASKING = {
    "X-Raylax-Explain": "1",
    "X-Request-Id": "r" * 128,
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    "tracestate": ",".join(f"k{i}={'v' * 200}" for i in range(32)),
    "Origin": ORIGIN,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, count=3, cors_origins=(ORIGIN,)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


def bytes_of(response: httpx.Response) -> int:
    return sum(len(name) + len(value) + 4 for name, value in response.headers.raw)


@pytest.mark.parametrize("stream", [False, True])
async def test_many_decisions_are_told_as_far_as_a_head_has_room(
    client: httpx.AsyncClient, stream: bool
) -> None:
    """It says what is left out, and where that is."""
    body = {"prompt": ["a"] * 40, "max_tokens": 1, "stream": stream, **UNKNOWN}
    response = await client.post(COMPLETIONS, json=body, headers=ASKING)
    told = httpx.Response(200, content=response.headers["x-raylax-explanation"]).json()
    all_of_them = (await client.get(f"/explain/{response.headers['x-raylax-call-id']}")).json()

    assert response.status_code == 200
    assert bytes_of(response) < HAPROXY - ROOM
    assert 0 < len(told) < 40
    assert told == all_of_them["choices"][: len(told)]
    assert f"has {len(told)} of 40 decisions" in response.headers["warnings"]


@pytest.mark.parametrize(
    "asked",
    [
        {"Origin": ORIGIN, "Access-Control-Request-Headers": "x-a," * 3000},
        {"Origin": "https://" + "a" * 12_000, "Access-Control-Request-Headers": "x-a"},
    ],
)
async def test_what_a_browser_asks_is_not_repeated_at_any_length(
    client: httpx.AsyncClient, asked: dict[str, str]
) -> None:
    headers = {"Access-Control-Request-Method": "POST", **asked}
    response = await client.options(CHAT, headers=headers)

    assert bytes_of(response) < 1 << 10
    assert "access-control-allow-headers" not in response.headers


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\U0001f600"])
async def test_whatever_an_error_says_its_client_hears_of_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidRequest(letter * 10_000, param=letter * 10_000)

    monkeypatch.setattr(rig.models, "named", refuse)
    asked = raylax_pb2.ChatRequest(messages=[raylax_pb2.Message(role="user", content="hi")])
    async with channel(rig.grpc_address) as made:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(asked):
                pass

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(letter * 50)
