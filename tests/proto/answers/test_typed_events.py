"""Responses and messages: what is streamed comes to what is given whole, in any order of things."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.anthropic_message import MessageShape
from raylax.proto.answers.openai_response import PREFIX, ResponseShape
from raylax.proto.answers.typed_events import TypedEvent, TypedShape
from raylax.proto.calls.call import Call
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses import ResponsesRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish
from tests.proto.calls.test_call import CITY_TOOL, ids

CALL = '<tool_call>{"name": "look", "arguments": {"a": 1}}</tool_call>'
ODD_CALL = '<tool_call>{"name": "look", "arguments": "here"}</tool_call>'
SAID = ["", "hi", CALL, "a" + CALL + "b" + CALL, CALL + CALL + "end", ODD_CALL]


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))


def call_of(frontend: Frontend) -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [CITY_TOOL]}
    return frontend.chat(ChatCompletionRequest.model_validate(body), PREFIX)


def streamed(call: Call, shape: TypedShape, text: str) -> list[dict[str, Any]]:
    """The events of an engine that says the text, a token at a time."""
    deltas = [Delta(call.requests[0].id, (token,)) for token in ids(text)]
    heard: list[TypedEvent] = []
    for delta in [*deltas, Delta(call.requests[0].id, finish=Finish.STOP)]:
        event = call.feed(delta).event
        heard += shape.add(event) if event else []
    return [json.loads(event.json) for event in [*heard, *shape.end()]]


@pytest.mark.parametrize("text", SAID)
def test_items_of_a_response(frontend: Frontend, text: str) -> None:
    """Each item is told whole when it is done, in its place, and deltas come to it."""
    call, body = call_of(frontend), ResponsesRequest(input="hi")
    events = streamed(call, ResponseShape(call, body, "tiny", 1), text)
    whole = json.loads(ResponseShape(call, body, "tiny", 1).whole().model_dump_json())
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    deltas = [""] * len(done)
    for event in events:
        if event["type"].endswith(".delta"):
            deltas[event["output_index"]] += event["delta"]

    assert events[-1]["response"] == whole
    assert done == whole["output"] != []
    assert deltas == [
        item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
        for item in done
    ]


@pytest.mark.parametrize("text", SAID)
def test_blocks_of_a_message(frontend: Frontend, text: str) -> None:
    """Each block starts empty and stops before the next; deltas come to what it is whole."""
    call = call_of(frontend)
    events = streamed(call, MessageShape(call, "tiny"), text)
    whole = json.loads(MessageShape(call, "tiny").whole().model_dump_json())
    blocks: list[dict[str, Any]] = []
    for event in events[:-2]:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            continue
        assert event["index"] == len(blocks) - 1
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            blocks[-1]["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta":
            assert blocks[-1]["input"] == {}
            blocks[-1]["input"] = json.loads(event["delta"]["partial_json"])
    starts = [e["index"] for e in events if e["type"] == "content_block_start"]
    stops = [e["index"] for e in events if e["type"] == "content_block_stop"]

    assert blocks == whole["content"]
    assert starts == stops == list(range(len(blocks)))
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
