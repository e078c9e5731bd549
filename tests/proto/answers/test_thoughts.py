"""Thoughts in every API: streamed as well as whole, counted, left in the text, or left out."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic.types
import openai.types.chat
import openai.types.responses as r
import pytest
from pydantic import TypeAdapter

from raylax.proto import grpc_api
from raylax.proto.answers.anthropic_message import MessageWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.answers.writer import AnswerWriter
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent
from raylax.proto.client import replies
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import PREFIX
from raylax.proto.text.chat_template import ChatTemplate, ChatTemplates
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish, ThinkingLimit
from tests.proto.calls.test_call import CITY_TOOL, ids

CALL = '<tool_call>{"name": "look", "arguments": {"a": 1}}</tool_call>'
TEXT = f"<think>I must look.</think> So: {CALL}"
THOUGHT = "I must look."


@pytest.fixture(scope="module")
def frontend(checkpoint: Path) -> Frontend:
    loaded = Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))
    return replace(loaded, reasoning_format="think")


def call_of(frontend: Frontend, prefix: str = "chatcmpl-", **fields: Any) -> Call:
    asked = {"messages": [{"role": "user", "content": "hi"}], "tools": [CITY_TOOL], **fields}
    return frontend.chat(ChatCompletionRequest.model_validate(asked), prefix)


def fed(call: Call, text: str = TEXT, size: int = 1) -> list[TextEvent]:
    """What comes of it, so many tokens at a time."""
    request, said = call.requests[0].id, ids(text)
    deltas = [Delta(request, said[at : at + size]) for at in range(0, len(said), size)]
    last = Delta(request, finish=Finish.STOP)
    return [event for one in (*deltas, last) if (event := call.feed(one).event)]


def streamed(writer: AnswerWriter, text: str = TEXT) -> list[dict[str, Any]]:
    events = [one for event in fed(writer.call, text) for one in writer.add(event)]
    return [json.loads(body) for _, body in [*events, *writer.end()] if body != b"[DONE]"]


def test_a_chat(frontend: Frontend) -> None:
    """By both of its names, before what is said; and as OpenAI's client reads it."""
    writer = ChatWriter(call_of(frontend), "tiny", 1)
    deltas = [one["choices"][0]["delta"] for one in streamed(writer)]
    message = json.loads(writer.whole())["choices"][0]["message"]

    for name in ("reasoning_content", "reasoning"):
        assert "".join(delta.get(name, "") for delta in deltas) == THOUGHT == message[name]
    assert "".join(delta.get("content") or "" for delta in deltas) == "So: " == message["content"]
    assert deltas[0]["role"] == "assistant"
    assert openai.types.chat.ChatCompletion.model_validate_json(writer.whole())


def test_a_message(frontend: Frontend) -> None:
    """A block of its own, with a signature; as Anthropic's client reads it."""
    writer = MessageWriter(call_of(frontend), "tiny")
    events = streamed(writer)
    read = TypeAdapter(anthropic.types.RawMessageStreamEvent)
    started = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta" and not e["index"]]
    thinking = json.loads(writer.whole())["content"][0]

    assert [read.validate_python(event).type for event in events]
    assert started == ["thinking", "text", "tool_use"]
    assert "".join(one.get("thinking", "") for one in deltas) == THOUGHT == thinking["thinking"]
    assert deltas[-1] == {"type": "signature_delta", "signature": thinking["signature"]}
    assert thinking["signature"]
    assert anthropic.types.Message.model_validate_json(writer.whole())


def test_a_response(frontend: Frontend) -> None:
    """An item of its own, with its events; as OpenAI's client reads them."""
    call = call_of(frontend, PREFIX)
    events = streamed(ResponseWriter(call, ResponsesRequest(input="hi"), "tiny", 1))
    whole = json.loads(ResponseWriter(call, ResponsesRequest(input="hi"), "tiny", 1).whole())
    read = TypeAdapter(r.ResponseStreamEvent)
    said = [e["delta"] for e in events if e["type"] == "response.reasoning_text.delta"]

    assert [read.validate_python(event).type for event in events]
    assert events[-1]["response"] == whole
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call"]
    assert "".join(said) == THOUGHT == whole["output"][0]["content"][0]["text"]
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] == len(
        "<think>I must look.</think>"
    )


def test_grpc(frontend: Frontend) -> None:
    call = call_of(frontend)
    parts = [replies.part(grpc_api.chat_reply("c", "tiny", event)) for event in fed(call)]

    assert replies.choice(parts).reasoning == THOUGHT
    assert replies.choice(parts).text == "So: "
    assert grpc_api.usage_message(call.usage).reasoning_tokens == 27


@pytest.mark.parametrize(
    ("fields", "thought", "content"),
    [
        ({}, THOUGHT, "So: "),
        ({"include_reasoning": False}, None, "So: "),
        ({"reasoning": {"exclude": True}}, None, "So: "),
        ({"reasoning": {"exclude": False}}, THOUGHT, "So: "),
        ({"separate_reasoning": False}, None, "<think>I must look.</think> So: "),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_becomes_of_thoughts(
    frontend: Frontend, fields: dict[str, Any], thought: str | None, content: str, size: int
) -> None:
    """They are counted wherever they are found, whatever came together."""
    call = call_of(frontend, **fields)
    fed(call, size=size)
    message = json.loads(ChatWriter(call, "tiny", 1).whole())["choices"][0]["message"]

    assert (message.get("reasoning_content"), message["content"]) == (thought, content)
    assert message["tool_calls"]
    counted = call.usage.completion_tokens_details.reasoning_tokens
    assert counted == (27 if fields.get("separate_reasoning", True) else 0)


def test_a_thought_that_does_not_end_is_all_that_there_is(frontend: Frontend) -> None:
    call = call_of(frontend)
    fed(call, "<think>hm")
    message = json.loads(ChatWriter(call, "tiny", 1).whole())["choices"][0]["message"]

    assert (message["content"], message["reasoning_content"]) == (None, "hm")
    assert call.usage.completion_tokens_details.reasoning_tokens == 9


@pytest.mark.parametrize(
    ("last", "fields", "thought"),
    [
        ("<think>", {}, "I"),
        ("<think>", {"add_generation_prompt": False}, None),
        ("<think></think>", {}, None),
    ],
)
def test_the_prompt_may_have_begun_it(
    frontend: Frontend, last: str, fields: dict[str, Any], thought: str | None
) -> None:
    made = with_template(frontend, "x{% if add_generation_prompt %}" + last + "\n{% endif %}")
    call = call_of(made, tools=None, **fields)
    fed(call, "I</think>so")
    message = json.loads(ChatWriter(call, "tiny", 1).whole())["choices"][0]["message"]

    assert message.get("reasoning_content") == thought


def with_template(frontend: Frontend, source: str) -> Frontend:
    return replace(frontend, templates=ChatTemplates({"default": ChatTemplate(source)}))


def test_an_answer_that_goes_on_with_a_thought(frontend: Frontend) -> None:
    """The message that is continued says whether it is within one."""
    said = {"role": "assistant", "content": "<think>I"}
    made = with_template(frontend, "{{ messages[0].content }}")
    for content, thought in (("<think>I", "go"), ("<think>I</think>so", None)):
        said["content"] = content
        call = call_of(made, messages=[said], tools=None, continue_final_message=True)
        fed(call, "go</think>on")
        message = json.loads(ChatWriter(call, "tiny", 1).whole())["choices"][0]["message"]
        assert message.get("reasoning_content") == thought


@pytest.mark.parametrize(
    ("last", "opened_by"), [("", (9, 8, 7)), ("<think>", ()), ("<think></think>", (9, 8, 7))]
)
def test_a_thought_may_have_a_limit(
    frontend: Frontend, last: str, opened_by: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tokens of its marks, if its end is one token."""
    made = with_template(frontend, "x" + last)
    known = {"<think>": [9, 8, 7], "</think>": [5]}
    encode = type(made.tokenizer).encode
    monkeypatch.setattr(
        type(made.tokenizer), "encode",
        lambda self, text, *more: known.get(text) or encode(self, text, *more),
    )  # fmt: skip
    asked: list[dict[str, Any]] = [
        {"thinking_budget": 7}, {"thinking_token_budget": 7}, {"reasoning": {"max_tokens": 7}},
        {"thinking": {"type": "enabled", "budget_tokens": 7}},
        {"thinking_budget": 7, "reasoning": {"max_tokens": 9}},
    ]  # fmt: skip
    for fields in asked:
        (request,) = call_of(made, **fields).requests
        assert request.sampling.thinking == ThinkingLimit(7, opened_by, 5, (5,))
    assert call_of(made).requests[0].sampling.thinking is None


def test_a_limit_that_cannot_be_kept_is_refused(frontend: Frontend) -> None:
    """The mark of the end has several tokens here. A model that does not think keeps any."""
    with pytest.raises(InvalidRequest, match="end with the 8 of </think>"):
        call_of(frontend, thinking_budget=7)
    made = replace(frontend, reasoning_format="none")
    assert call_of(made, thinking_budget=7).requests[0].sampling.thinking is None


def test_an_answer_behind_its_thought_is_read_no_more(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tools it is text and nothing else: as fast as that of a model that does not think."""
    call = call_of(frontend, tools=None)
    request, read = call.requests[0].id, list[str]()
    (choice,) = call.parts
    assert isinstance(choice, Choice)
    parser = choice._parser
    add: Callable[[str], Any] = parser.add

    def reading(text: str) -> Any:
        read.append(text)
        return add(text)

    monkeypatch.setattr(parser, "add", reading)
    for token in ids("<think>a</think>so it is"):
        call.feed(Delta(request, (token,)))

    assert "".join(read) == "<think>a</think>s"
