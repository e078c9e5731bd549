"""Writers of every API: what is streamed comes to what is given whole, in any order of things."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.anthropic_message import MessageWriter
from raylax.proto.answers.embedding import EmbeddingWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.answers.writer import AnswerEvent, AnswerWriter
from raylax.proto.calls.call import Call
from raylax.proto.errors import EngineFailure
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import PREFIX
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish
from tests.proto.calls.test_call import CITY_TOOL, ids

CALL = '<tool_call>{"name": "look", "arguments": {"a": 1}}</tool_call>'
BROKEN_CALL = 'a<tool_call>{"name": "look", "arguments": {"a": 1, oops}}</tool_call>'
ODD_CALL = '<tool_call>{"name": "look", "arguments": "here"}</tool_call>'
SAID = ["", "hi", CALL, "a" + CALL + "b" + CALL, CALL + CALL + "end", ODD_CALL]


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))


def call_of(frontend: Frontend) -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [CITY_TOOL]}
    return frontend.chat(ChatCompletionRequest.model_validate(body), PREFIX)


def chat(frontend: Frontend) -> AnswerWriter:
    return ChatWriter(call_of(frontend), "tiny", 1)


def completion(frontend: Frontend) -> AnswerWriter:
    return CompletionWriter(frontend.completion(CompletionRequest(prompt="hi")), "tiny", 1)


def embedding(frontend: Frontend) -> AnswerWriter:
    return EmbeddingWriter(frontend.embedding(EmbeddingRequest(input="hi")), "tiny", "float")


def response(frontend: Frontend) -> AnswerWriter:
    return ResponseWriter(call_of(frontend), ResponsesRequest(input="hi"), "tiny", 1)


def message(frontend: Frontend) -> AnswerWriter:
    return MessageWriter(call_of(frontend), "tiny")


WRITERS = [chat, completion, embedding, response, message]


def added(writer: AnswerWriter, text: str) -> list[AnswerEvent]:
    """What is written of an engine that says the text, a token at a time, and ends."""
    call, written = writer.call, list[AnswerEvent]()
    deltas = [Delta(call.requests[0].id, (token,)) for token in ids(text)]
    end = Delta(call.requests[0].id, finish=Finish.STOP, embedding=(0.6, 0.8))
    for delta in [*deltas, end]:
        event = call.feed(delta).event
        written += writer.add(event) if event else []
    return written


@pytest.mark.parametrize("write", WRITERS)
def test_what_is_written_is_json(
    frontend: Frontend, write: Callable[[Frontend], AnswerWriter]
) -> None:
    """All but the mark of OpenAI's end; a typed event says its type within, too."""
    writer = write(frontend)
    events = [*writer.begin(), *writer.ping(), *added(writer, "hi"), *writer.end()]
    events += write(frontend).failed(EngineFailure("a kernel broke"))
    read = [(type, json.loads(text)) for type, text in events if text != b"[DONE]"]

    assert isinstance(json.loads(writer.whole()), dict)
    assert [type for type, body in read if type] == [body["type"] for type, body in read if type]
    assert "a kernel broke" in json.dumps(read[-1])


@pytest.mark.parametrize("write", WRITERS)
def test_a_call_that_failed_has_no_whole_answer(
    frontend: Frontend, write: Callable[[Frontend], AnswerWriter]
) -> None:
    """Its error is raised again."""
    writer = write(frontend)
    with pytest.raises(EngineFailure):
        writer.call.feed(
            Delta(writer.call.requests[0].id, finish=Finish.ERROR, error="a kernel broke")
        )

    with pytest.raises(EngineFailure, match="a kernel broke"):
        writer.whole()


def streamed(writer: AnswerWriter, text: str) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in [*added(writer, text), *writer.end()]]


@pytest.mark.parametrize("text", SAID)
def test_items_of_a_response(frontend: Frontend, text: str) -> None:
    """Each item is told whole when it is done, in its place, and deltas come to it."""
    call, body = call_of(frontend), ResponsesRequest(input="hi")
    events = streamed(ResponseWriter(call, body, "tiny", 1), text)
    whole = json.loads(ResponseWriter(call, body, "tiny", 1).whole())
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
    events = streamed(MessageWriter(call, "tiny"), text)
    whole = json.loads(MessageWriter(call, "tiny").whole())
    blocks: list[dict[str, Any]] = []
    inputs: dict[int, list[str]] = {}
    for event in events[:-2]:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
            continue
        assert event["index"] == len(blocks) - 1
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            blocks[-1]["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta":
            inputs.setdefault(event["index"], []).append(event["delta"]["partial_json"])
            assert blocks[-1]["input"] == {}
    starts = [e["index"] for e in events if e["type"] == "content_block_start"]
    stops = [e["index"] for e in events if e["type"] == "content_block_stop"]

    for index, pieces in inputs.items():
        assert len(pieces) > 1
        blocks[index]["input"] = json.loads("".join(pieces))
    assert blocks == whole["content"]
    assert starts == stops == list(range(len(blocks)))
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]


def told_calls(deltas: list[Any]) -> str:
    return "".join(one["function"]["arguments"] for one in deltas)


def test_a_broken_call_in_every_api(frontend: Frontend) -> None:
    """A stream has told of it before it broke, and ends as if it were none: not for the call. A
    whole answer has it as text."""
    chats = streamed_chunks(chat(frontend), BROKEN_CALL)
    deltas = [one["choices"][0]["delta"] for one in chats]
    assert told_calls([c for d in deltas for c in d.get("tool_calls") or ()]) == '{"a": 1, '
    assert "".join(d.get("content") or "" for d in deltas) == "aoops}}</tool_call>"
    assert chats[-1]["choices"][0]["finish_reason"] == "stop"

    blocks = streamed(message(frontend), BROKEN_CALL)
    assert blocks[-2]["delta"]["stop_reason"] == "end_turn"
    items = streamed(response(frontend), BROKEN_CALL)[-1]["response"]["output"]
    assert [(one["type"], one["status"]) for one in items] == [
        ("message", "completed"), ("function_call", "incomplete"), ("message", "completed"),
    ]  # fmt: skip
    for write in (chat, message, response):
        writer = write(frontend)
        added(writer, BROKEN_CALL)
        assert BROKEN_CALL in json.dumps(json.loads(writer.whole())).replace('\\"', '"')


def streamed_chunks(writer: AnswerWriter, text: str) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in added(writer, text)]
