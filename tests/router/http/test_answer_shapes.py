"""Every key that OpenAI's client knows as there is in what it is told, also where it is null."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic.types as a
import httpx
import openai.types as t
import openai.types.chat as c
import openai.types.responses as r
import pytest
import pytest_asyncio
from pydantic import BaseModel, TypeAdapter

from tests.support.router_rig import PATIENCE_S, running_router
from tests.support.scripted import CALL, write_scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
HI = {"role": "user", "content": "hi"}
LOOK = {"name": "look", "parameters": {"type": "object"}}
CHAT: dict[str, Any] = {"messages": [HI]}
CALLING = {**CHAT, "tools": [{"type": "function", "function": LOOK}]}
LOGPROBS = {**CHAT, "logprobs": True, "top_logprobs": 1}
PLAIN: dict[str, Any] = {"prompt": "hi", "max_tokens": 4}
ASKED: dict[str, Any] = {"input": "hi"}
TOOLS = {**ASKED, "tools": [{"type": "function", **LOOK}]}
EFFORT = {**ASKED, "reasoning": {"effort": "low"}}
MESSAGES = {**CHAT, "max_tokens": 32, "tools": [{"name": "look", "input_schema": {}}]}
UNTYPED = ("[DONE]", '{"type":"ping"}')
COUNTED = {"stream_options": {"include_usage": True}}
LEFT_OUT = "citations"
"""Of texts in messages, which have none: Vercel's client takes no null there."""
WHOLE: list[tuple[str, Any, dict[str, Any]]] = [
    ("/v1/chat/completions", c.ChatCompletion, CHAT),
    ("/v1/chat/completions", c.ChatCompletion, CALLING),
    ("/v1/chat/completions", c.ChatCompletion, LOGPROBS),
    ("/v1/completions", t.Completion, PLAIN),
    ("/v1/completions", t.Completion, {**PLAIN, "logprobs": 1}),
    ("/v1/responses", r.Response, ASKED),
    ("/v1/responses", r.Response, TOOLS),
    ("/v1/responses", r.Response, EFFORT),
    ("/v1/responses", r.Response, {**ASKED, "max_output_tokens": 2}),
    ("/v1/messages", a.Message, {**CHAT, "max_tokens": 32}),
    ("/v1/messages", a.Message, MESSAGES),
    ("/v1/embeddings", t.CreateEmbeddingResponse, ASKED),
]
STREAMED: list[tuple[str, Any, dict[str, Any]]] = [
    ("/v1/chat/completions", c.ChatCompletionChunk, {**CHAT, **COUNTED}),
    ("/v1/chat/completions", c.ChatCompletionChunk, {**CALLING, **COUNTED}),
    ("/v1/chat/completions", c.ChatCompletionChunk, LOGPROBS),
    ("/v1/responses", r.ResponseStreamEvent, ASKED),
    ("/v1/responses", r.ResponseStreamEvent, TOOLS),
    ("/v1/messages", a.RawMessageStreamEvent, MESSAGES),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Of a model that says some text, and calls a tool."""
    path: Path = write_scripted(tmp_path_factory.mktemp("scripted"), CALL)
    async with (
        running_router(path) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made,
    ):
        yield made


def always(model: type[BaseModel]) -> list[str]:
    """The fields that an answer always has, of which some may be null. Their client's code has them
    first, in the order of the alphabet behind the id; the others begin anew."""
    fields = list(model.model_fields.items())
    names = [name for name, _ in fields]
    first = 1 if names[:1] == ["id"] else 0
    ends = [at for at in range(first + 1, len(names)) if names[at] < names[at - 1]]
    if ends:
        return names[: ends[0]]
    needed = [at for at, (_, field) in enumerate(fields) if field.is_required()]
    return names[: needed[-1] + 1] if needed else []


def missing(said: Any, raw: Any, path: str = "") -> Iterator[str]:
    """The keys that are not there, of an answer as their types read it."""
    if isinstance(said, list):
        for at, (one, its) in enumerate(zip(said, raw, strict=True)):
            yield from missing(one, its, f"{path}.{at}")
    elif isinstance(said, BaseModel):
        needed = (name for name in always(type(said)) if name != LEFT_OUT)
        yield from (f"{path}.{name}" for name in needed if name not in raw)
        for name in type(said).model_fields:
            if name in raw:
                yield from missing(getattr(said, name), raw[name], f"{path}.{name}")


def keys_missing(kind: Any, raw: Any) -> list[str]:
    return [*missing(TypeAdapter(kind).validate_python(raw), raw)]


async def test_what_their_types_say_is_read() -> None:
    """Else the walk below would look for nothing."""
    nullable = {"error", "incomplete_details", "instructions", "metadata", "temperature", "top_p"}

    assert always(c.ChatCompletionMessage) == ["content", "refusal", "role"]
    assert "logprobs" in always(c.chat_completion.Choice)
    assert nullable <= set(always(r.Response))
    assert "usage" not in always(c.ChatCompletionChunk)


@pytest.mark.parametrize(("path", "kind", "body"), WHOLE)
async def test_a_whole_answer_has_all(
    client: httpx.AsyncClient, path: str, kind: Any, body: dict[str, Any]
) -> None:
    reply = await client.post(path, json={**body, "temperature": 0})

    assert reply.status_code == 200, reply.text
    assert keys_missing(kind, reply.json()) == []


async def test_so_has_a_model(client: httpx.AsyncClient) -> None:
    """To either API's clients."""
    listed = (await client.get("/v1/models")).json()

    assert listed["object"] == "list"
    assert [keys_missing(t.Model, one) for one in listed["data"]] == [[]]
    assert [a.ModelInfo.model_validate(one).display_name for one in listed["data"]] == ["tiny"]
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "tiny", "tiny")


async def test_blocks_have_no_null(client: httpx.AsyncClient) -> None:
    """Vercel's client would not read them."""
    whole = (await client.post("/v1/messages", json={**MESSAGES, "temperature": 0})).json()
    told = await events(client, "/v1/messages", MESSAGES)
    begun = [one["content_block"] for one in told if "content_block" in one]

    assert [one["type"] for one in whole["content"]] == ["text", "tool_use"]
    assert [one["type"] for one in begun] == ["text", "tool_use"]
    assert not [one for one in [*whole["content"], *begun] if None in one.values()]


async def test_who_asks_for_a_thread_sends_it_all(client: httpx.AsyncClient) -> None:
    """Anthropic's runner of tools does, where an error has these details."""
    body = {**CHAT, "max_tokens": 2, "thread": {"type": "create"}}
    reply = await client.post("/v1/messages", json=body)

    assert reply.status_code == 400
    assert reply.json()["error"]["details"] == {
        "error_code": "thread_unsupported_request", "unsupported": ["thread"]
    }  # fmt: skip


async def events(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    reply = await client.post(path, json={**body, "temperature": 0, "stream": True})
    lines = [one.removeprefix("data: ") for one in reply.text.splitlines() if "data: " in one]
    return [json.loads(one) for one in lines if one not in UNTYPED]


@pytest.mark.parametrize(("path", "kind", "body"), STREAMED)
async def test_so_has_every_event_of_a_stream(
    client: httpx.AsyncClient, path: str, kind: Any, body: dict[str, Any]
) -> None:
    told = await events(client, path, body)

    assert len(told) > 3
    assert [keys for one in told if (keys := keys_missing(kind, one))] == []


@pytest.mark.parametrize(
    ("path", "body", "nothing"),
    [("/v1/chat/completions", CHAT, "missing"), ("/v1/completions", PLAIN, None)],
)
async def test_the_usage_is_null_until_the_end(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], nothing: str | None
) -> None:
    """In a stream that ends with it; in others no chunk knows it, which completions say, since
    clients of MLC-LLM look at it."""
    *before, last = await events(client, path, {**body, **COUNTED})
    without = await events(client, path, body)

    assert len(before) > 3
    assert [one.get("usage", "missing") for one in before] == [None] * len(before)
    assert (last["choices"], last["usage"]["completion_tokens"] > 0) == ([], True)
    assert [one.get("usage", "missing") for one in without] == [nothing] * len(without)


async def test_what_their_own_answers_have(client: httpx.AsyncClient) -> None:
    """Though their types would let it be absent: programs walk it without looking."""
    chat = (await client.post("/v1/chat/completions", json={**CALLING, "temperature": 0})).json()
    response = (await client.post("/v1/responses", json=EFFORT)).json()
    message, usage = chat["choices"][0]["message"], chat["usage"]
    result = {"role": "tool", "content": "a", "tool_call_id": message["tool_calls"][0]["id"]}
    back = await client.post(
        "/v1/chat/completions", json={**CALLING, "messages": [HI, message, result]}
    )

    assert (message["annotations"], message["refusal"]) == ([], None)
    assert message["tool_calls"][0]["function"]["name"] == "look"
    assert usage["prompt_tokens_details"].keys() >= {"cached_tokens", "audio_tokens"}
    assert usage["completion_tokens_details"] == {
        "reasoning_tokens": 0, "audio_tokens": 0,
        "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    }  # fmt: skip
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert (back.status_code, back.headers.get("warnings")) == (200, None)
