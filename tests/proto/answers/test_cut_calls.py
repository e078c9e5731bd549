"""A call that `max_tokens` has cut is what came of it, in every API, streamed as well as whole."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic.types
import openai.types.chat
import openai.types.responses as r
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from pydantic import TypeAdapter

from raylax.proto import grpc_api
from raylax.proto.answers.anthropic_message import MessageWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.calls.call import Call
from raylax.proto.client import replies
from raylax.proto.client.values import ToolCall
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import PREFIX
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish
from tests.proto.calls.test_call import CITY_TOOL, ids

BEGUN = '<tool_call>{"name": "look", "arguments": '
CUTS = {  # what came, what is told of it, and what Anthropic's clients make of that
    "{": ("{", {}),
    '{"a": ': ('{"a": ', {}),
    '{"a": tru': ('{"a": ', {}),
    '{"a": 1, "b": "ro': ('{"a": 1, "b": "ro', {"a": 1}),
    '{"a": {"b": [1, {': ('{"a": {"b": [1, {', {"a": {"b": [1, {}]}}),
    '{"a": "\\u00': ('{"a": "', {}),
}
each_cut = pytest.mark.parametrize("cut", CUTS)


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))


def call_of(frontend: Frontend, prefix: str = "chatcmpl-", **fields: Any) -> Call:
    asked = {"messages": [{"role": "user", "content": "hi"}], "tools": [CITY_TOOL], **fields}
    return frontend.chat(ChatCompletionRequest.model_validate(asked), prefix)


def streamed(writer: Any, text: str, finish: Finish = Finish.LENGTH) -> list[dict[str, Any]]:
    request = writer.call.requests[0].id
    deltas = [*(Delta(request, (one,)) for one in ids(text)), Delta(request, finish=finish)]
    told = [*writer.begin()]
    for delta in deltas:
        if (event := writer.call.feed(delta).event) is not None:
            told += writer.add(event)
    return [json.loads(body) for _, body in [*told, *writer.end()] if body != b"[DONE]"]


@each_cut
def test_a_chat(frontend: Frontend, cut: str) -> None:
    writer = ChatWriter(call_of(frontend), "tiny", 1)
    choices = [one["choices"][0] for one in streamed(writer, f"So: {BEGUN}{cut}")]
    pieces = [call for one in choices for call in one["delta"].get("tool_calls", ())]
    (whole,) = json.loads(writer.whole())["choices"]
    (call,) = whole["message"]["tool_calls"]
    said = CUTS[cut][0]

    assert "".join(one["function"]["arguments"] for one in pieces) == said
    assert call["function"] == {"name": "look", "arguments": said}
    assert "".join(one["delta"].get("content") or "" for one in choices) == "So: "
    assert whole["message"]["content"] == "So: "
    assert choices[-1]["finish_reason"] == whole["finish_reason"] == "length"
    assert openai.types.chat.ChatCompletion.model_validate_json(writer.whole())


@each_cut
def test_a_message(frontend: Frontend, cut: str) -> None:
    """Its input is what Anthropic's own client makes of the stream."""
    writer = MessageWriter(call_of(frontend), "tiny")
    read = TypeAdapter[Any](anthropic.types.RawMessageStreamEvent)
    snapshot: Any = None
    pieces = dict[int, bytes]()
    for event in streamed(writer, f"{BEGUN}{cut}"):
        if event["type"] != "ping":
            snapshot = accumulate_event(
                event=read.validate_python(event), current_snapshot=snapshot, json_bufs=pieces
            )
    whole = json.loads(writer.whole())
    (block,) = whole["content"]

    assert block["type"] == "tool_use" and block["name"] == "look"
    assert block["input"] == CUTS[cut][1] == snapshot.content[0].input
    assert whole["stop_reason"] == "max_tokens"


@each_cut
def test_a_response(frontend: Frontend, cut: str) -> None:
    call, body = call_of(frontend, PREFIX), ResponsesRequest(input="hi")
    events = streamed(ResponseWriter(call, body, "tiny", 1), f"{BEGUN}{cut}")
    whole = json.loads(ResponseWriter(call, body, "tiny", 1).whole())
    read = TypeAdapter[Any](r.ResponseStreamEvent)
    deltas = [e for e in events if e["type"] == "response.function_call_arguments.delta"]
    (item,) = whole["output"]

    assert [read.validate_python(event).type for event in events]
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"] == whole
    assert "".join(one["delta"] for one in deltas) == item["arguments"] == CUTS[cut][0]
    assert item["status"] == whole["status"] == "incomplete"


@each_cut
def test_grpc(frontend: Frontend, cut: str) -> None:
    call = call_of(frontend)
    request = call.requests[0].id
    deltas = [
        *(Delta(request, (one,)) for one in ids(f"{BEGUN}{cut}")),
        Delta(request, finish=Finish.LENGTH),
    ]
    events = [event for one in deltas if (event := call.feed(one).event)]
    heard = replies.choice([replies.part(grpc_api.chat_reply("c", "tiny", one)) for one in events])
    (told,) = heard.tool_calls

    assert (told.name, told.arguments_json) == ("look", CUTS[cut][0])
    assert isinstance(told, ToolCall)
    assert (heard.text, heard.finish_reason) == ("", "length")


@pytest.mark.parametrize("text", ["<tool", "<tool_call>", '<tool_call>{"name": "lo'])
def test_of_a_call_that_must_be_made_nothing_is_text(frontend: Frontend, text: str) -> None:
    """Where nothing of its arguments has come."""
    for choice, told in (("required", None), ("auto", text)):
        writer = ChatWriter(call_of(frontend, tool_choice=choice), "tiny", 1)
        deltas = [one["choices"][0]["delta"] for one in streamed(writer, text)]
        (whole,) = json.loads(writer.whole())["choices"]
        assert (whole["message"]["content"] or None, whole["finish_reason"]) == (told, "length")
        assert ("".join(one.get("content") or "" for one in deltas) or None) == told


def test_a_call_that_the_model_leaves_is_text(frontend: Frontend) -> None:
    """It might have gone on."""
    writer = ChatWriter(call_of(frontend), "tiny", 1)
    streamed(writer, f'{BEGUN}{{"a": 1', Finish.STOP)
    (whole,) = json.loads(writer.whole())["choices"]

    assert whole["message"]["content"] == f'{BEGUN}{{"a": 1'
    assert not whole["message"].get("tool_calls")


def test_a_second_call_that_is_cut_is_none_where_there_may_be_one(frontend: Frontend) -> None:
    call = call_of(frontend, parallel_tool_calls=False)
    writer = ChatWriter(call, "tiny", 1)
    streamed(writer, f'{BEGUN}{{"a": 1}}}}</tool_call>{BEGUN}{{"a')
    (whole,) = json.loads(writer.whole())["choices"]

    assert [one["function"]["arguments"] for one in whole["message"]["tool_calls"]] == ['{"a": 1}']
    assert whole["message"]["content"] is None


@pytest.mark.parametrize("format", ["qwen3_coder", "llama4_pythonic", "harmony"])
def test_in_other_formats(frontend: Frontend, format: str) -> None:
    text = {
        "qwen3_coder": "<tool_call><function=look><parameter=city>Ro",
        "llama4_pythonic": '[look(city="Ro',
        "harmony": '<|channel|>commentary to=functions.look<|message|>{"city": "Ro',
    }[format]
    schema = {"properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    call = call_of(replace(frontend, tool_format=format), tools=[tool])
    writer = ChatWriter(call, "tiny", 1)
    streamed(writer, text)
    (whole,) = json.loads(writer.whole())["choices"]
    (made,) = whole["message"]["tool_calls"]

    assert made["function"] == {"name": "look", "arguments": '{"city": "Ro'}
    assert whole["finish_reason"] == "length"
