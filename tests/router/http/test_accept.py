"""Who accepts server-sent events alone is answered by a stream."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
HI = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HI, "max_tokens": 2},
    "/v1/completions": {"prompt": "hi", "max_tokens": 2},
    "/v1/responses": {"input": "hi", "max_output_tokens": 2},
    "/v1/messages": {"messages": HI, "max_tokens": 2},
}
EVENTS = "text/event-stream"


async def kind_of(client: httpx.AsyncClient, path: str, accept: str, **fields: Any) -> str:
    reply = await client.post(path, json=BODIES[path] | fields, headers={"Accept": accept})
    assert reply.status_code == 200, reply.text
    return reply.headers["content-type"].split(";")[0]


@pytest.mark.parametrize("path", BODIES)
async def test_who_accepts_events_alone_has_a_stream(client: httpx.AsyncClient, path: str) -> None:
    """In any API, unless the body says otherwise; null says nothing."""
    assert await kind_of(client, path, EVENTS) == EVENTS
    assert await kind_of(client, path, "Text/Event-Stream; q=0.9", stream=None) == EVENTS
    assert await kind_of(client, path, EVENTS, stream=False) == "application/json"


@pytest.mark.parametrize("accept", ["*/*", "application/json", f"application/json, {EVENTS}"])
async def test_who_accepts_json_has_json(client: httpx.AsyncClient, accept: str) -> None:
    path = "/v1/completions"

    assert await kind_of(client, path, accept) == "application/json"
    assert await kind_of(client, path, accept, stream=True) == EVENTS


async def test_options_of_a_stream_go_with_it(client: httpx.AsyncClient) -> None:
    options = {"stream_options": {"include_usage": True}}

    assert await kind_of(client, "/v1/completions", EVENTS, **options) == EVENTS
