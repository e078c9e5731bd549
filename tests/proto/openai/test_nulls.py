"""Null means absent at any depth, and what a client was told is what it may send back."""

import random
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import validated
from raylax.proto.openai.chat import ChatCompletionRequest, Message, arguments_of
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.text.files import TextFiles

HI = {"role": "user", "content": "hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chat(**fields: Any) -> ChatCompletionRequest:
    return validated(ChatCompletionRequest, {"messages": [HI], **fields})


def function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def said(**fields: Any) -> list[Any]:
    return [HI, {"role": "assistant", **fields}, HI]


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"tools": [function(description=None)]}, {"tools": [function()]}),
        ({"tools": [function(parameters=None, strict=None)]}, {"tools": [function()]}),
        (
            {"stream": True, "stream_options": {"include_usage": None}},
            {"stream": True, "stream_options": {}},
        ),
        (
            {"messages": said(content="", tool_calls=[{**CALL, "id": None, "type": None}])},
            {"messages": said(content="", tool_calls=[{"function": CALL["function"]}])},
        ),
        (
            {"messages": said(tool_calls=[{**CALL, "function": {"name": "f", "arguments": None}}])},
            {"messages": said(tool_calls=[{**CALL, "function": {"name": "f"}}])},
        ),
        (
            {"messages": said(content="4", name=None, refusal=None, tool_calls=None, audio=None)},
            {"messages": said(content="4")},
        ),
    ],
)
def test_null_is_absent_inside_of_objects(fields: dict[str, Any], without: dict[str, Any]) -> None:
    assert chat(**fields) == chat(**without)


def test_nulls_of_a_schema_are_kept() -> None:
    """They are a value there."""
    schema = {"type": "object", "properties": {"a": {"enum": [None, 1], "default": None}}}
    tools = chat(tools=[function(parameters=schema)]).tools or []

    assert [tool.function.parameters for tool in tools] == [schema]


def test_null_is_absent_in_the_other_apis() -> None:
    item = {"type": "message", "role": "user", "content": "hi"}
    tool: dict[str, Any] = {
        "name": "f",
        "description": None,
        "input_schema": {},
        "cache_control": None,
    }
    block = {"type": "text", "text": "hi", "citations": None, "cache_control": None}

    validated(ResponsesRequest, {"input": [{**item, "id": None, "status": None}]})
    validated(
        MessagesRequest,
        {"messages": [{"role": "user", "content": [block]}], "max_tokens": 1, "tools": [tool]},
    )


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "4"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    ],
)
def test_an_answer_may_be_sent_back(message: dict[str, Any]) -> None:
    """As OpenAI's client dumps it, with all of its nulls."""
    dumped = ChatCompletionMessage.model_validate(message).model_dump()

    assert chat(messages=[HI, dumped, HI]) == chat(messages=[HI, message, HI])
    assert len([value for value in dumped.values() if value is None]) > 3


def test_deprecated_messages_are_those_that_took_their_place() -> None:
    """Functions are tools, and a refusal is what was said."""
    called = Message.model_validate(
        {"role": "assistant", "content": None, "function_call": CALL["function"]}
    )
    result = Message.model_validate({"role": "function", "name": "f", "content": "sunny"})
    refused = {"role": "assistant", "content": None, "refusal": "no"}

    assert called.tool_calls is not None and called.tool_calls[0].function.name == "f"
    assert (result.role, result.name) == ("tool", "f")
    assert Message.model_validate(refused).for_template()["content"] == "no"
    parts = [{"type": "refusal", "refusal": "no"}]
    assert Message.model_validate({**refused, "content": parts}).for_template()["content"] == [
        {"type": "text", "text": "no"}
    ]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", {}),
        (" ", {}),
        ("null", {}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", "[1]"),
        ('{"a": NaN}', '{"a": NaN}'),
        ('{"a": 1e999}', '{"a": 1e999}'),
        ("{", "{"),
    ],
)
def test_what_a_template_is_told_of_arguments(written: str, told: Any) -> None:
    """An object; or the text, where it is none that JSON could have."""
    assert arguments_of(written) == told


def test_every_prompt_has_a_seed_of_its_own(checkpoint: Path) -> None:
    """Else equal prompts would have equal answers. The client's seed is that of all of them."""
    frontend = Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))

    def seeds(**fields: Any) -> list[int]:
        body = validated(CompletionRequest, {"prompt": ["a"] * 4, "n": 2, **fields})
        return [request.sampling.seed for request in frontend.completion(body).requests]

    assert len(set(seeds())) == 4
    assert set(seeds(seed=3)) == {3}
