"""OpenAI's own client, and a plain reader of server-sent events, against a real router."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.support.router_rig import PATIENCE_S, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASK: dict[str, Any] = {
    "model": "tiny", "messages": [{"role": "user", "content": "hi"}],
    "temperature": 0, "max_tokens": 8,
}  # fmt: skip
PLAIN: dict[str, Any] = {"model": "tiny", "prompt": "ab", "temperature": 0, "max_tokens": 8}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


async def test_several_choices_streamed_and_whole(openai_client: openai.AsyncOpenAI) -> None:
    """Each choice has its role, its text and its end; the usage comes last, without choices."""
    ask = {**ASK, "n": 2, "temperature": 1, "seed": 3}
    whole = await openai_client.chat.completions.create(**ask)
    options = {"include_usage": True}
    stream = await openai_client.chat.completions.create(**ask, stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]

    for choice in whole.choices:
        deltas = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == choice.index]
        assert deltas[0].delta.role == "assistant"
        assert "".join(d.delta.content or "" for d in deltas) == choice.message.content
        assert [d.finish_reason for d in deltas if d.finish_reason] == ["length"]
    assert [c.index for c in whole.choices] == [0, 1]
    assert whole.choices[0].message.content != whole.choices[1].message.content
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.completion_tokens, whole.usage.completion_tokens) == (16, 16)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_logprobs_are_the_same_in_every_shape(openai_client: openai.AsyncOpenAI) -> None:
    """Streamed or whole; their tokens make the text, and offsets point into it."""
    ask = {**ASK, "logprobs": True, "top_logprobs": 2}
    whole = (await openai_client.chat.completions.create(**ask)).choices[0]
    stream = await openai_client.chat.completions.create(**ask, stream=True)
    parts = [c.choices[0].logprobs.content async for c in stream if c.choices[0].logprobs]
    plain = (await openai_client.completions.create(**PLAIN, logprobs=2)).choices[0]
    old = await openai_client.completions.create(**PLAIN, logprobs=2, stream=True)
    offsets = [
        o async for c in old if c.choices[0].logprobs for o in c.choices[0].logprobs.text_offset
    ]

    entries = [entry for part in parts for entry in part]
    assert entries == whole.logprobs.content and len(entries) == 8
    assert bytes(b for e in entries for b in e.bytes).decode() == whole.message.content
    assert all(e.top_logprobs[0].logprob >= e.top_logprobs[1].logprob for e in entries)
    assert entries[0].logprob == entries[0].top_logprobs[0].logprob  # greedy: the likeliest one
    shown = plain.logprobs
    assert shown.text_offset == offsets
    for at, token in zip(shown.text_offset, shown.tokens, strict=True):
        assert plain.text[at : at + len(token)] == token


async def test_a_stop_string_cuts_text_and_logprobs(openai_client: openai.AsyncOpenAI) -> None:
    """What is cut is not seen anywhere; streamed and whole agree."""
    text = (await openai_client.completions.create(**PLAIN)).choices[0].text
    stop = text[3:5]
    cut = text[: text.index(stop)]
    whole = (await openai_client.completions.create(**PLAIN, stop=stop, logprobs=0)).choices[0]
    stream = await openai_client.completions.create(**PLAIN, stop=stop, stream=True)
    said = [c.choices[0] async for c in stream]

    assert (whole.text, whole.finish_reason) == (cut, "stop")
    assert "".join(whole.logprobs.tokens) == cut
    assert "".join(one.text for one in said) == cut
    assert said[-1].finish_reason == "stop"


async def test_tool_calls_and_their_history(openai_client: openai.AsyncOpenAI) -> None:
    """A tiny model calls nothing, but everything that goes with tools is understood."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    messages = [
        *ASK["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    for choice in ("auto", "none"):
        ask = {**ASK, "messages": messages, "tools": [TOOL], "tool_choice": choice}
        answer = await openai_client.chat.completions.create(**ask)
        assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"temperature": 3}, openai.BadRequestError, None),
        ({"model": "gpt-7"}, openai.NotFoundError, "model_not_found"),
        (
            {"messages": [{"role": "user", "content": "x" * 300}]},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_exceptions_of_their_class(
    openai_client: openai.AsyncOpenAI,
    fields: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str | None,
    stream: bool,
) -> None:
    """Streamed too: the status is not out before the first token is."""
    with pytest.raises(kind) as caught:
        await openai_client.chat.completions.create(**{**ASK, **fields, "stream": stream})

    assert caught.value.code == code


@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_before_the_first_token(
    rig: Rig, openai_client: openai.AsyncOpenAI, stream: bool
) -> None:
    """Is an error with a status of its own, streamed or not."""
    rig.workers[0].hold(steps=0)
    try:
        with pytest.raises(openai.InternalServerError) as caught:
            late = {"timeout": 0.5}
            await openai_client.chat.completions.create(**ASK, stream=stream, extra_body=late)
    finally:
        rig.workers[0].let_go()

    assert (caught.value.status_code, caught.value.code) == (504, "deadline_exceeded")


async def test_the_answers_id_is_a_header(openai_client: openai.AsyncOpenAI) -> None:
    for stream in (False, True):
        raw = await openai_client.chat.completions.with_raw_response.create(**ASK, stream=stream)
        answer = raw.parse()
        first = [chunk async for chunk in answer][0] if stream else answer

        assert raw.headers["x-raylax-call-id"] == first.id != ""


async def test_the_stream_as_it_is_on_the_wire(rig: Rig) -> None:
    """Events of one line, one id, time and model; the role first, [DONE] last."""
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        reply = await client.post("/v1/chat/completions", json={**ASK, "stream": True})
    events = reply.text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: ") and "\n" not in event for event in events[:-1])
    assert len({(c["id"], c["created"], c["model"], c["object"]) for c in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "length"
