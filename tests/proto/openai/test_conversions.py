"""Bodies of the Responses and Messages APIs as the chat requests that they mean."""

import json
from typing import Any

import pytest

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.body import parse_body, validated
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.request import ResponsesRequest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"x":1}'}}
OTHER = {**CALL, "id": "d"}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "I look", "tool_calls": [CALL, OTHER]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        {"role": "tool", "tool_call_id": "d", "content": "rainy"},
        {"role": "user", "content": "and?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "look", "description": "at a city", "parameters": SCHEMA},
        }
    ],
    "max_tokens": 9,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 4,
    "seed": 3,
    "priority": "high",
}
SAMPLING = {name: CHAT[name] for name in ("temperature", "top_p", "top_k", "seed", "priority")}


def function_call(id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": "look", "arguments": '{"x":1}'}


def tool_use(id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "look", "input": {"x": 1}}


def chat(**changes: Any) -> ChatCompletionRequest:
    return parse_body(ChatCompletionRequest, json.dumps({**CHAT, **changes}))


def test_a_responses_request() -> None:
    """Calls belong to what the assistant said before them; parts are joined."""
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    items = [
        {"role": "user", "content": parts},
        {"type": "message", "role": "assistant", "content": "I look"},
        function_call("c"),
        function_call("d"),
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
        {"type": "function_call_output", "call_id": "d", "output": [{**parts[0], "text": "rainy"}]},
        {"role": "user", "content": "and?"},
    ]
    tool = {"type": "function", "name": "look", "description": "at a city", "parameters": SCHEMA}
    body = {"input": items, "instructions": "be brief", "max_output_tokens": 9, "tools": [tool]}
    made = parse_body(ResponsesRequest, json.dumps({**body, **SAMPLING})).for_chat()

    assert made == chat()


def test_calls_that_nothing_was_said_before() -> None:
    """They are a message of their own."""
    body = parse_body(ResponsesRequest, json.dumps({"input": [function_call("c")]}))
    (message,) = body.for_chat().messages

    assert message.for_template()["tool_calls"][0]["function"]["arguments"] == {"x": 1}
    assert (message.role, message.content) == ("assistant", "")


def test_a_messages_request() -> None:
    """Results of tools come before what the user says with them."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look"}, tool_use("c"), tool_use("d")],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": "sunny"},
                {"type": "text", "text": "and?"},
                {
                    "type": "tool_result",
                    "tool_use_id": "d",
                    "content": [{"type": "text", "text": "rainy"}],
                },
            ],
        },
    ]
    tool = {"name": "look", "description": "at a city", "input_schema": SCHEMA}
    body = {"messages": messages, "system": "be brief", "max_tokens": 9, "tools": [tool]}
    made = parse_body(
        MessagesRequest, json.dumps({**body, **SAMPLING, "stop_sequences": ["~"]})
    ).for_chat()

    assert made == chat(stop=["~"])


def test_no_more_messages_come_of_blocks_than_chat_may_have() -> None:
    """Each result counts as one."""
    results = [{"type": "tool_result", "tool_use_id": "c"}] * 2048
    body = {"messages": [{"role": "user", "content": results}], "max_tokens": 1}

    assert len(parse_body(MessagesRequest, json.dumps(body)).for_chat().messages) == 2048
    with pytest.raises(InvalidRequest, match="may be 2048, with the system prompt"):
        parse_body(MessagesRequest, json.dumps({**body, "system": "s"})).for_chat()


SHELL = {"type": "exec", "command": ["ls"], "env": {"a": "b"}, "user": None}
CALLS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "function_call", "name": "f", "arguments": "{}"}, "f", "{}"),
    ({"type": "function_call", "namespace": "a", "name": "f", "arguments": "{}"}, "a__f", "{}"),
    ({"type": "custom_tool_call", "name": "f", "input": '"x"'}, "f", '{"input":"\\"x\\""}'),
    ({"type": "custom_tool_call", "namespace": "a", "name": "f", "input": ""}, "a__f",
     '{"input":""}'),
    ({"type": "local_shell_call", "action": SHELL}, "local_shell",
     '{"command":["ls"],"env":{"a":"b"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("item", "name", "arguments"), CALLS)
def test_every_call_of_responses_is_one_of_a_function(
    item: dict[str, Any], name: str, arguments: str
) -> None:
    """To the model, whose calls they were."""
    output = {**item, "type": f"{item['type']}_output", "id": "c", "call_id": "c", "output": "x"}
    body = {"input": [{**item, "call_id": "c"}, output]}
    said, result = validated(ResponsesRequest, body).for_chat().messages

    assert [(c.id, c.function.name, c.function.arguments) for c in said.tool_calls or ()] == [
        ("c", name, arguments)
    ]
    assert (result.role, result.tool_call_id, result.content) == ("tool", "c", "x")
