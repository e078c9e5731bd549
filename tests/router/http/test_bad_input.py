"""Everything that a client can get wrong: a clear answer, soon, and the next request works."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    a_router,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
HI = {"role": "user", "content": "hi"}
ASK = {"messages": [HI], "temperature": 0, "max_tokens": 4}
MIB = 1 << 20
LONGEST_PAUSE_S = 1.0
"""Of the event loop while it deals with the worst body. It was 17 s when lists were read whole."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, body_timeout_s=0.5) as made:
        yield made


def chat(**fields: Any) -> str:
    return json.dumps({**ASK, **fields})


def plain(prompt: Any, **fields: Any) -> str:
    return json.dumps({"prompt": prompt, "max_tokens": 4, **fields})


def tool_call(arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}


LOOK = {"type": "function", "function": {"name": "look"}}
REFUSED = [
    (CHAT, "", None, "not valid JSON"),
    (CHAT, "null", None, "must be a JSON object, found None"),
    (CHAT, "[1]", None, "must be a JSON object, found [1]"),
    (CHAT, "[" * 60_000, None, "not valid JSON"),
    (CHAT, '{"a":' * 300 + "1" + "}" * 300, None, "recursion limit"),
    (CHAT, '{"messages": [{"role": "user", "content": "\\ud800"}]}', None, "not valid JSON"),
    (CHAT, chat(temperature=float("nan")), "temperature", "finite"),
    (CHAT, chat(temperature=float("inf")), "temperature", "finite"),
    (CHAT, chat(presence_penalty=-2.1), "presence_penalty", "found -2.1"),
    (CHAT, chat(temperature=True), "temperature", "found True"),
    (CHAT, chat(max_tokens=1.5), "max_tokens", "found 1.5"),
    (CHAT, chat(n=10**9), "n", "less than or equal to 16"),
    (CHAT, chat(seed=1 << 64), "seed", "less than"),
    (CHAT, '{"n": ' + "9" * 5000 + "}", None, "number out of range"),
    (CHAT, chat(timeout=0), "timeout", "greater than 0"),
    (CHAT, chat(stop=5), "stop", "valid string, found 5"),
    (CHAT, chat(logit_bias={"99": 1}), "logit_bias", "99 is outside the vocabulary of 99"),
    (CHAT, chat(logit_bias={str(i): 1 for i in range(16385)}), "logit_bias", "16384 entries"),
    (CHAT, chat(top_logprobs=1), "top_logprobs", "only allowed when logprobs"),
    (CHAT, chat(logprobs=True, top_logprobs=21), "top_logprobs", "less than or equal to 20"),
    (CHAT, chat(messages=[HI] * 2049), "messages", "at most 2048 items"),
    (CHAT, chat(messages=[HI] * 150_000), None, "may have 262144 values"),
    (CHAT, chat(messages=[{"role": "king", "content": "x"}]), "messages.0.role", "found 'king'"),
    (CHAT, chat(messages=[HI, "hi"]), "messages.1", "found 'hi'"),
    (CHAT, chat(messages=[{"role": "user", "content": None}]), "messages.0", "content"),
    (
        CHAT,
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]),
        "messages.0.content.0",
        "only parts of type text and refusal are supported",
    ),
    (CHAT, chat(messages=[{**HI, "content": "x" * 400}]), "messages", "the limit is 255"),
    (CHAT, chat(tools=[{"type": "function"}]), "tools.0.function", "Field required"),
    (
        CHAT,
        chat(tool_choice="always"),
        "tool_choice",
        "must be auto, none, required, a function, or allowed_tools",
    ),
    (
        CHAT,
        chat(tools=[LOOK], tool_choice={"type": "function", "function": {"name": "f"}}),
        "tool_choice",
        "'f' is none of the tools: look",
    ),
    (CHAT, chat(tools=[LOOK, LOOK]), "tools", "1 has the name of another one, 'look'"),
    (CHAT, chat(tools=[LOOK] * 500), "tools", "at most 128 items"),
    (
        CHAT,
        chat(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}),
        "response_format.json_schema.schema",
        "Invalid type: x",
    ),
    (
        CHAT,
        chat(response_format={"type": "json_object"}, guided_regex="a"),
        "guided_regex",
        "an answer has one form, and response_format.type asks for one",
    ),
    (
        CHAT,
        chat(response_format={"type": "json_schema"}),
        "response_format.json_schema",
        "Field required",
    ),
    (CHAT, chat(guided_json="{"), "guided_json", "is no valid JSON"),
    (CHAT, chat(guided_json={"$ref": "#/a"}), "guided_json", "'#/a' leads to no place"),
    (PLAIN, plain("a", guided_choice=[]), "guided_choice", "at least 1 item"),
    (PLAIN, plain("a", guided_grammar="root ::= ("), "guided_grammar", "Expected ')'"),
    (PLAIN, plain("a", structural_tag={"triggers": []}), "structural_tag", "at least 1 item"),
    (PLAIN, plain("a", regex="(?=a)b"), "regex", "look-around"),
    (CHAT, chat(stream_options={"include_usage": True}), "stream_options", "stream is true"),
    (PLAIN, "{}", "prompt", "Field required"),
    (PLAIN, plain(""), "prompt", "must not be empty"),
    (PLAIN, plain([]), "prompt", "at least 1 item"),
    (CHAT, chat(chat_template="{{ 1 }}"), "chat_template", "the model's own, default; found"),
    (CHAT, chat(chat_template_kwargs={"tools": []}), "chat_template_kwargs", "tools is a field"),
    (
        CHAT,
        chat(chat_template_kwargs={str(i): i for i in range(65)}),
        "chat_template_kwargs",
        "at most 64 items",
    ),
    (CHAT, chat(documents=[{"text": "a"}]), "documents", "shows no documents"),
    (CHAT, chat(documents=["a"]), "documents.0", "found 'a'"),
    (
        CHAT,
        chat(continue_final_message=True, add_generation_prompt=True),
        "continue_final_message",
        "only allowed when add_generation_prompt is false",
    ),
    (PLAIN, plain([[]]), "prompt.0", "at least 1 item"),
    (PLAIN, plain([5, "a"]), "prompt.1", "valid integer, found 'a'"),
    (PLAIN, plain([5, 99]), "prompt", "99 is outside the vocabulary of 99"),
    (PLAIN, plain(["a"] * 65), "prompt", "at most 64 items"),
    (PLAIN, plain([5] * 256), "prompt", "has 256 tokens, the limit is 255"),
    (PLAIN, plain("x" * (4 * MIB)), "prompt", "at least 349525 tokens, the limit is 255"),
    (PLAIN, plain("a", logprobs=21), "logprobs", "less than or equal to 20"),
    (CHAT, chat(echo=True), "echo", "messages are not repeated; use /v1/completions, found True"),
    (PLAIN, plain("a", suffix="b" * 65537), "suffix", "at most 65536 characters"),
    (PLAIN, plain("a", n=3, best_of=2), "best_of", "must be at least n, which is 3, found 2"),
    (CHAT, chat(best_of=2), "best_of", "may only be 1; ask for several choices by n, found 2"),
    (PLAIN, plain("a", min_tokens=5), "min_tokens", "at most the answer's 4 tokens, found 5"),
    (CHAT, chat(min_tokens=-1), "min_tokens", "found -1"),
    (CHAT, chat(allowed_token_ids=[]), "allowed_token_ids", "at least 1 item"),
    (CHAT, chat(allowed_token_ids=[1 << 20]), "allowed_token_ids", "outside the vocabulary"),
    (CHAT, chat(bad_words=[""]), "bad_words.0", "at least 1 character"),
    (CHAT, chat(bad_words=["x" * 129]), "bad_words.0", "at most 128 characters"),
    (CHAT, chat(bad_words=["x"] * 129), "bad_words", "at most 128 items"),
    (CHAT, chat(typical_p=1.5), "typical_p", "found 1.5"),
    (CHAT, chat(xtc_probability=0.5), "xtc_probability", "the likeliest tokens are never left out"),
    (CHAT, chat(dry_multiplier=0.8), "dry_multiplier", "use repetition_penalty"),
    (CHAT, chat(functions=[{"name": "f"}]), "functions", "use tools"),
]


@pytest.mark.parametrize(("path", "body", "param", "said"), REFUSED)
async def test_a_mistake_is_a_400_that_names_the_field(
    client: httpx.AsyncClient, path: str, body: str, param: str | None, said: str
) -> None:
    """In a line or two, whatever the client sent; and the server goes on."""
    reply = await client.post(path, content=body.encode())
    error = reply.json()["error"]

    assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param
    assert said in error["message"]
    assert len(error["message"]) < 400
    assert (await client.post(CHAT, json=ASK)).status_code == 200


ACCEPTED = [
    (CHAT, chat(n=None, stream=None, stop=None, tools=None, presence_penalty=None, logprobs=None)),
    (CHAT, chat(messages=[{**HI, "content": [{"type": "text", "text": "hi"}]}])),
    (CHAT, chat(messages=[{**HI, "content": ""}])),
    (CHAT, chat(top_k=10**12, seed=-1, store=True, metadata={"a": 1})),
    (CHAT, chat(max_tokens=10**12, stop=["~~"] * 16)),
    (CHAT, chat(messages=[{"role": "assistant", "tool_calls": [tool_call("{]")]}, HI])),
    (CHAT, chat(logprobs=True, top_logprobs=20)),
    (CHAT, chat(chat_template_kwargs={"enable_thinking": False}, reasoning_effort="low")),
    (CHAT, chat(continue_final_message=True, chat_template="default", documents=[])),
    (PLAIN, plain("a", add_special_tokens=False)),
    (CHAT, chat(logprobs=False, top_logprobs=0)),
    (CHAT, chat(top_p=0)),
    (CHAT, chat(top_p=0, temperature=1)),
    (PLAIN, plain("a", logprobs=False)),
    (PLAIN, plain(["a", "b"], n=2)),
    (PLAIN, plain([[5, 6], [7]], best_of=1, echo=False, suffix=None)),
    (PLAIN, plain("a", logprobs=0)),
]


@pytest.mark.parametrize(("path", "body"), ACCEPTED)
async def test_what_clients_really_send_is_accepted(
    client: httpx.AsyncClient, path: str, body: str
) -> None:
    """Nulls for what is left open, extremes that mean "all", fields of other servers."""
    reply = await client.post(path, content=body.encode(), headers={"Content-Type": "text/plain"})

    assert reply.status_code == 200, reply.text


async def test_a_field_that_nobody_knows(rig: Rig, client: httpx.AsyncClient) -> None:
    """Is ignored with a warning, or a mistake where the router is told so; of any API."""
    bodies: dict[str, dict[str, Any]] = {
        CHAT: ASK,
        PLAIN: {"prompt": "a", "max_tokens": 4},
        "/v1/embeddings": {"input": "a"},
        "/v1/messages": {"messages": [HI], "max_tokens": 4},
        "/v1/messages/count_tokens": {"messages": [HI]},
        "/v1/responses": {"input": "hi", "max_output_tokens": 4},
        "/tokenize": {"prompt": "a"},
        "/detokenize": {"tokens": [5]},
    }
    settings = replace(rig.service.config, strict_fields=True)
    async with a_router(settings, rig.workers) as strict:
        for path, body in bodies.items():
            lenient = await client.post(path, json={**body, "modle": "tiny"})
            refused = await client.post(f"{strict.url}{path}", json={**body, "modle": "tiny"})
            said = "modle: unknown field; did you mean model?"

            assert lenient.status_code == 200 and refused.status_code == 400
            assert lenient.headers["warnings"] == f"{said}; it is ignored"
            assert refused.json()["error"]["message"] == said


async def test_a_wrong_address_or_name(client: httpx.AsyncClient) -> None:
    """OpenAI's codes where it has one."""
    unknown = await client.post(CHAT, json={**ASK, "model": "x" * 10_000})
    card = await client.get("/v1/models/gpt-7")
    method = await client.get(CHAT)

    assert [r.status_code for r in (unknown, card, method)] == [404, 404, 405]
    assert unknown.json()["error"]["code"] == card.json()["error"]["code"] == "model_not_found"
    assert len(unknown.text) < 400
    assert (await client.get("/v1/models/tiny")).json()["id"] == "tiny"


HOSTILE = {
    "a million nulls": b'{"prompt": [' + b"null," * (8 * MIB // 5 - 50) + b"1]}",
    "empty messages": b'{"messages": [' + b"{}," * (MIB // 4) + b"{}]}",
    "strings for ids": b'{"prompt": [' + b'"",' * (MIB // 4) + b'""]}',
    "a long text": b'{"prompt": "' + b"hello world " * (8 * MIB // 12 - 10) + b'"}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_heavy_body_does_not_stop_the_others(client: httpx.AsyncClient, name: str) -> None:
    """The event loop, which serves everybody, is never away for long."""
    asking = asyncio.create_task(client.post(PLAIN, content=HOSTILE[name]))
    longest = 0.0
    while not asking.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - before)

    assert asking.result().status_code == 400
    assert longest < LONGEST_PAUSE_S


async def connect(rig: Rig, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    return reader, writer


def post(body: bytes, length: int | None = None) -> bytes:
    size = length or len(body)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + body


async def test_half_a_body(rig: Rig) -> None:
    """It is waited for, but not for ever; when its client leaves, nothing is said."""
    reader, waiting = await connect(rig, post(b'{"messages"', length=1000))
    _, leaving = await connect(rig, post(b'{"messages"', length=1000))
    leaving.close()
    async with asyncio.timeout(PATIENCE_S):
        status = await reader.readline()
        body = await reader.readuntil(b"}}")
    waiting.close()

    assert status.split()[1] == b"408"
    assert b"within 0.5 s, there are 11 bytes" in body


async def test_requests_in_a_row_on_one_connection(rig: Rig) -> None:
    """Sent before the first is answered; each gets its own answer, mistakes included."""
    good, bad = post(json.dumps(ASK).encode()), post(b"{}")
    reader, writer = await connect(rig, good + bad + good)
    statuses = []
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            statuses.append(int(head.split()[1]))
            length = head.split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
    writer.close()

    assert statuses == [200, 400, 200]


async def test_a_body_in_chunks(client: httpx.AsyncClient) -> None:
    """Without a length, in small pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for byte in json.dumps(ASK).encode():
            yield bytes([byte])

    assert (await client.post(CHAT, content=pieces())).status_code == 200


async def test_nothing_is_left_behind(rig: Rig) -> None:
    """After all of the above."""
    await until(lambda: not rig.workers[0].running)

    assert len(rig.service.journal) == 0
    assert "WorkerConnection(w0, 0 requests, lost=None)" in repr(rig.router)
    assert [view.own_requests for view in rig.router.ledger.fleet.views()] == [0]
