"""OpenAI's Responses API by OpenAI's own client: items, events, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response

from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    openai_client_of,
    running_router,
)
from tests.support.scripted import CALL, write_scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASK: dict[str, Any] = {"model": "tiny", "input": "hi", "temperature": 0, "max_output_tokens": 8}
LOOK: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object"}}
TEXT_EVENTS = [
    "response.created", "response.in_progress",
    "response.output_item.added", "response.content_part.added", "response.output_text.delta",
    "response.output_text.done", "response.content_part.done", "response.output_item.done",
]  # fmt: skip
CALL_EVENTS = [
    "response.output_item.added", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.output_item.done",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """Of a model that calls a function, whatever it is asked."""
    checkpoint = write_scripted(tmp_path_factory.mktemp("scripted"))
    async with running_router(checkpoint) as rig, openai_client_of(rig) as made:
        yield made


async def streamed(client: openai.AsyncOpenAI, **ask: Any) -> list[Any]:
    """The events, each of which is what the client's own types say that it is."""
    events = [event async for event in await client.responses.create(**ask, stream=True)]
    return [type(event).model_validate(event.to_dict()) for event in events]


def content_of(response: Response) -> dict[str, Any]:
    """The response without what is new each time: ids, the time, what was found in the cache."""
    dumped: dict[str, Any] = response.model_dump(
        exclude={
            "id": True,
            "created_at": True,
            "output": {"__all__": {"id", "call_id"}},
            "usage": {"input_tokens_details"},
        }
    )
    return dumped


async def test_an_answer_cut_by_its_limit(openai_client: openai.AsyncOpenAI) -> None:
    """It is incomplete and says why; the text is that of the chat API for the same request."""
    answer = await openai_client.responses.create(**ASK, metadata={"a": "b"})
    chat = await openai_client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], temperature=0, max_tokens=8
    )

    assert answer.output_text == chat.choices[0].message.content
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output[0].status == "incomplete"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (chat.usage.prompt_tokens, 8)
    assert (answer.model, answer.metadata, answer.max_output_tokens) == ("tiny", {"a": "b"}, 8)


async def test_a_stream_tells_the_same_response(openai_client: openai.AsyncOpenAI) -> None:
    """In OpenAI's order, numbered without a gap; deltas make up the text; the last is the whole."""
    whole = await openai_client.responses.create(**ASK)
    events = await streamed(openai_client, **ASK)
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]

    assert list(dict.fromkeys(kinds)) == [*TEXT_EVENTS, "response.incomplete"]
    assert len(kinds) == len(TEXT_EVENTS) + len(deltas)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len(deltas) > 1 and "".join(deltas) == whole.output_text
    assert events[0].response.status == events[1].response.status == "in_progress"
    assert content_of(events[-1].response) == content_of(whole)
    ids = {event.item_id for event in events if hasattr(event, "item_id")}
    assert ids == {events[-1].response.output[0].id}


async def test_a_function_call(caller: openai.AsyncOpenAI) -> None:
    """An item of its own after what was said before it; streamed, the same two items."""
    ask = {**ASK, "max_output_tokens": 50, "tools": [LOOK]}
    whole = await caller.responses.create(**ask)
    events = await streamed(caller, **ask)
    message, call = whole.output

    assert (whole.status, message.type, whole.output_text) == ("completed", "message", "I look. ")
    assert (call.type, call.name, call.arguments) == ("function_call", "look", '{"city": "Rome"}')
    assert [e.type for e in events] == [*TEXT_EVENTS, *CALL_EVENTS, "response.completed"]
    assert "".join(e.delta for e in events if e.type.endswith("arguments.delta")) == call.arguments
    assert events[-2].item == events[-1].response.output[1]
    assert content_of(events[-1].response) == content_of(whole)


async def test_without_leave_nothing_is_called(caller: openai.AsyncOpenAI) -> None:
    """With tool_choice "none" the same tokens are text."""
    answer = await caller.responses.create(
        **{**ASK, "max_output_tokens": 50}, tools=[LOOK], tool_choice="none"
    )

    assert [item.type for item in answer.output] == ["message"]
    assert "<tool_call>" in answer.output_text


async def test_a_conversation_of_items_is_that_of_messages(
    openai_client: openai.AsyncOpenAI,
) -> None:
    """Instructions, parts, calls and their outputs reach the model as chat messages do."""
    items: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "message", "role": "assistant", "id": "m", "status": "completed",
         "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"x": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
    ]  # fmt: skip
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    messages: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    answer = await openai_client.responses.create(**{**ASK, "input": items}, instructions="s")
    chat = await openai_client.chat.completions.create(
        model="tiny", messages=messages, temperature=0, max_tokens=8
    )

    assert answer.output_text == chat.choices[0].message.content
    assert answer.usage.input_tokens == chat.usage.prompt_tokens


async def test_an_answer_is_part_of_the_next_question(caller: openai.AsyncOpenAI) -> None:
    """Items go back as they came, as agents send them."""
    first = await caller.responses.create(**{**ASK, "max_output_tokens": 50}, tools=[LOOK])
    history = [item.model_dump() for item in first.output]
    result = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "sunny"}
    second = await caller.responses.create(**{**ASK, "input": [*history, result]}, tools=[LOOK])

    assert second.status == "completed"


async def test_what_agents_offer(caller: openai.AsyncOpenAI) -> None:
    """A call is told as one of the tool that its function stands for; what cannot be run here the
    model never hears of, and a header says so."""
    space = {"type": "namespace", "name": "eyes", "description": "", "tools": [LOOK]}
    custom = {"type": "custom", "name": "look", "format": {"type": "text"}}
    ask = {**ASK, "max_output_tokens": 50}
    reply = await caller.responses.with_raw_response.create(
        **ask, tools=[{"type": "web_search"}, {"type": "nonsense"}, custom]
    )
    call = reply.parse().output[1]
    events = await streamed(caller, **ask, tools=[custom])
    alone = await caller.responses.create(**ask, tools=[custom])
    hidden = await caller.responses.create(**ask, tools=[space])

    assert reply.headers["warnings"].startswith("tools: web_search cannot be run here")
    assert "nonsense is no tool that anybody knows" in reply.headers["warnings"]
    assert (call.type, call.name, call.input) == ("custom_tool_call", "look", '{"city": "Rome"}')
    assert alone.usage.input_tokens == reply.parse().usage.input_tokens
    assert [event.type for event in events[-5:-1]] == [
        "response.output_item.added", "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done", "response.output_item.done",
    ]  # fmt: skip
    assert content_of(events[-1].response) == content_of(alone)
    assert [item.type for item in hidden.output] == ["message"]  # it is eyes__look to the model


async def test_a_call_in_a_namespace(tmp_path: Path) -> None:
    """The model calls it by its full name, the client knows it by both."""
    text = CALL[2].replace("look", "eyes__look")
    checkpoint = write_scripted(tmp_path, [*CALL[:2], text, *CALL[3:]])
    space: Any = {"type": "namespace", "name": "eyes", "description": "", "tools": [LOOK]}
    async with running_router(checkpoint) as rig, openai_client_of(rig) as client:
        ask = {**ASK, "max_output_tokens": 50, "tools": [space]}
        answer = await client.responses.create(**ask)
    call = answer.output[1]

    assert (call.type, call.namespace, call.name) == ("function_call", "eyes", "look")


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"metadata": {"a": "b" * 513}}, "metadata.a", "at most 512 characters"),
        ({"metadata": {"a" * 65: "b"}}, f"metadata.{'a' * 64}", "at most 64 characters"),
        ({"conversation": "conv_1"}, "conversation", "raylax keeps responses alone"),
        ({"background": True}, "background", "clients wait for their answers"),
        ({"top_logprobs": 3}, "top_logprobs", "/v1/chat/completions"),
        ({"tools": [{"name": "f"}]}, "tools.0", "a tool must be an object with a type"),
        ({"tools": [{"type": "custom"}]}, "tools.0.name", "Field required"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [LOOK] * 65},
                    {"type": "namespace", "name": "b", "tools": [LOOK] * 64}]}, "tools",
         "128 functions in all, there are 129"),
        ({"include": ["message.output_text.logprobs"]}, "include.0", "nothing more is given"),
        ({"tool_choice": "required"}, "tool_choice", "a call needs tools, and there are none"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "f"}}, "tool_choice",
         "'f' is none of the tools: look"),
        ({"text": {"format": {"type": "xml"}}}, "text.format", "type must be text, json_object or"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "x"}}}},
         "text.format.schema", "Invalid type: x"),
        ({"truncation": "auto"}, "truncation", "no conversation is shortened here"),
        ({"input": []}, "input", "at least 1 item"),
        ({"input": [{"type": "web_search_call"}]}, "input.0", "only items of type message"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input.0.arguments",
         "Field required"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
         "input.0.content.0", "only parts of type input_text"),
        ({"input": "x" * 300}, "input", "the limit is 255"),
        ({"max_output_tokens": 0}, "max_output_tokens", "found 0"),
    ],
)  # fmt: skip
async def test_what_is_lacking_is_refused_by_name(
    openai_client: openai.AsyncOpenAI, fields: dict[str, Any], param: str, said: str
) -> None:
    """In OpenAI's error body, which names the field as the openai_client wrote it."""
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        await openai_client.responses.create(**{**ASK, **fields})

    assert caught.value.param == param


async def test_an_unknown_model(openai_client: openai.AsyncOpenAI) -> None:
    """Is answered with those that there are."""
    with pytest.raises(openai.NotFoundError, match="there is tiny"):
        await openai_client.responses.create(**{**ASK, "model": "gpt-7"})


async def test_an_error_in_a_stream_fails_the_response(checkpoint: Path) -> None:
    """The last event says why."""
    async with running_router(checkpoint) as rig, openai_client_of(rig) as client:
        rig.workers[0].hold(steps=3)
        stream = await client.responses.create(
            **{**ASK, "max_output_tokens": 200}, stream=True, extra_body={"timeout": 1}
        )
        events = [event async for event in stream]

    assert events[-1].type == "response.failed"
    assert events[-1].response.status == "failed"
    assert events[-1].response.error.code == "deadline_exceeded"


async def test_the_stream_as_it_is_on_the_wire(rig: Rig) -> None:
    """Each event is named, has one line of data, and nothing follows the last."""
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        reply = await client.post("/v1/responses", json={**ASK, "stream": True})
    *events, rest = reply.text.split("\n\n")

    assert reply.headers["content-type"].startswith("text/event-stream")
    assert rest == ""
    for event in events:
        name, data = event.split("\n")
        assert data.startswith('data: {"type":"' + name.removeprefix("event: ") + '",')
    assert events[-1].startswith("event: response.incomplete\n")
