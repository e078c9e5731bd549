"""What is warned of while a request is read stands in a header of its answer."""

import json
from typing import Any

import httpx
import pytest

from raylax.proto.frontend import Frontend
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.warnings import warn
from raylax.router.prompts.parse_pool import SMALL_BYTES
from tests.support.router_rig import Rig, channel

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 2, "temperature": 0}


@pytest.fixture(autouse=True)
def _warning_frontend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads a request finds something to say of it."""
    for name in ("chat_work", "completion_call", "check_embeds"):
        made = getattr(Frontend, name)

        def read(*args: Any, made: Any = made, **named: Any) -> Any:
            warn("seen\r\nX-Other: 1")
            return made(*args, **named)

        monkeypatch.setattr(Frontend, name, read)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, ASK),
        (CHAT, {**ASK, "stream": True}),
        ("/v1/completions", {"prompt": "hi", "max_tokens": 2}),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 2}),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 2}),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 2, "stream": True}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/score", {"text_1": "hi", "text_2": "ho"}),
        ("/v1/rerank", {"query": "hi", "documents": ["ho"]}),
    ],
)
@pytest.mark.parametrize("padding", [0, SMALL_BYTES])
async def test_every_answer_carries_it(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], padding: int
) -> None:
    """Also of a body that is read on another thread; and the next answer does not."""
    reply = await client.post(path, content=json.dumps(body) + " " * padding)
    other = await client.get("/v1/models")

    assert (reply.status_code, reply.headers["warnings"]) == (200, r"seen\r\nX-Other: 1")
    assert "x-other" not in reply.headers
    assert "warnings" not in other.headers


async def test_so_does_an_error(client: httpx.AsyncClient) -> None:
    reply = await client.post(
        CHAT, json={**ASK, "messages": [{**MESSAGES[0], "content": "x" * 999}]}
    )

    assert reply.status_code == 400
    assert "seen" in reply.headers["warnings"]


async def test_so_does_grpc(rig: Rig) -> None:
    sampling = raylax_pb2.Sampling(max_tokens=2)
    request = raylax_pb2.ChatRequest(
        messages=[raylax_pb2.Message(role="user", content="hi")], sampling=sampling
    )
    async with channel(rig.grpc_address) as made:
        call = raylax_pb2_grpc.RaylaxStub(made).Chat(request)
        async for _ in call:
            pass
        trailing = dict(await call.trailing_metadata())

    assert trailing["warnings"] == r"seen\r\nX-Other: 1"
