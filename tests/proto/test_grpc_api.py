"""What clients of raylax.v1 say, as requests of OpenAI's API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message as Message_

from raylax.proto import grpc_api
from raylax.proto.client import requests
from raylax.proto.client.values import Message, Tool
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.body import parse_body
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.prompting import PromptFields
from raylax.proto.pb import raylax_pb2 as pb

PROMPTING: dict[str, Any] = {
    "chat_template": "rag",
    "chat_template_kwargs": {"enable_thinking": False, "more": [1, "ü"]},
    "reasoning_effort": "low",
    "documents": [{"title": "a", "text": "b"}, {}],
    "add_generation_prompt": False,
    "continue_final_message": True,
    "add_special_tokens": True,
    "special_tokens_in_content": True,
    "enable_thinking": True,
}


def test_all_that_makes_a_prompt_is_said() -> None:
    """By the client's options, over the wire, and in JSON: the same request."""
    turn = {"role": "assistant", "content": "x", "name": "n", "reasoning_content": "because"}
    said = requests.chat_request([Message(**turn)], requests.ChatOptions(**PROMPTING))  # type: ignore[arg-type, typeddict-item]
    made = grpc_api.chat_request(pb.ChatRequest.FromString(said.SerializeToString()))
    body = json.dumps({"messages": [turn], **PROMPTING, "ignore_eos": False})

    assert set(PROMPTING) == set(PromptFields.model_fields)
    assert made.model_dump() == parse_body(ChatCompletionRequest, body).model_dump()


def test_what_is_not_said_is_as_over_http() -> None:
    made = grpc_api.chat_request(requests.chat_request("hi", {}))
    plain = parse_body(ChatCompletionRequest, '{"messages": [{"role": "user", "content": "hi"}]}')

    assert made.model_dump() == plain.model_dump()
    assert grpc_api.generate_request(requests.generate_request("a", {})).add_special_tokens
    bare = requests.generate_request("a", {"add_special_tokens": False})
    assert not grpc_api.generate_request(bare).add_special_tokens


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"chat_template_kwargs_json": "{"}, "chat_template_kwargs_json: not valid JSON"),
        ({"chat_template_kwargs_json": "[]"}, "chat_template_kwargs: "),
        ({"documents_json": ["{}", "["]}, "documents_json: not valid JSON"),
        ({"documents_json": ["1"]}, "documents.0: "),
    ],
)
def test_what_is_no_json_object_is_named(fields: dict[str, Any], said: str) -> None:
    message = pb.ChatRequest(messages=[pb.Message(role="user", content="hi")], **fields)

    with pytest.raises(InvalidRequest, match=said):
        grpc_api.chat_request(message)


TAGS = '{"triggers": ["<f"], "structures": [{"begin": "<f>", "end": "</f>"}]}'
SAID: dict[str, Any] = {
    "model": "tiny", "temperature": 0.5, "top_p": 0.5, "top_k": 3, "min_p": 0.5,
    "presence_penalty": 0.5, "frequency_penalty": 0.5, "repetition_penalty": 0.5,
    "logit_bias": {3: 0.5}, "seed": 3, "max_tokens": 3, "stop": ["a"], "stop_token_ids": [3],
    "typical_p": 0.5, "min_tokens": 2, "allowed_token_ids": [3], "bad_words": ["b"],
    "ignore_eos": True, "n": 3, "top_logprobs": 3, "text": "b", "tokens": pb.TokenIds(ids=[3]),
    "role": "assistant", "content": "b", "tool_calls": [pb.ToolCall(id="a", name="f")],
    "tool_call_id": "a", "name": "b", "reasoning_content": "b",
    "id": "b", "arguments_json": '{"a": 1}', "description": "b", "parameters_json": '{"a": 1}',
    "messages": [pb.Message(role="user", content="b")], "tools": [pb.Tool(name="f")],
    "sampling": pb.Sampling(max_tokens=3), "priority": "high", "timeout_s": 3,
    "chat_template": "rag", "chat_template_kwargs_json": '{"a": 1}', "reasoning_effort": "low",
    "documents_json": ["{}"], "add_generation_prompt": True, "continue_final_message": True,
    "add_special_tokens": False, "special_tokens_in_content": True, "dimensions": 3,
    "enable_thinking": False, "separate_reasoning": False, "include_reasoning": False,
    "thinking_budget": 3, "strict": True, "tool_choice": "none", "allowed_tools": ["g"],
    "parallel_tool_calls": False,
    "cache_salt": "b", "json_schema": '{"type": "object"}', "regex": "a", "grammar": 'start: "a"',
    "include_stop_str_in_output": True, "skip_special_tokens": False, "return_token_ids": True,
    "prompt_logprobs": 2, "best_of": 3,
    "truncate_prompt_tokens": 3, "truncation_side": "right", "structural_tag": TAGS,
    "choice": pb.Texts(texts=["a"]),
    "inputs": [pb.EmbedRequest.Input(text="b")],
}  # fmt: skip
BY_THE_SERVICER = {"session", "explain", "resume_ttl_s"}
"""What is not said of the answer, but of its way: see the tests of the servicer."""
HI = pb.Message(role="user", content="hi")


def chat(**fields: Any) -> dict[str, Any]:
    known = {"messages": [HI], "tools": [pb.Tool(name="g")]}
    return grpc_api.chat_request(pb.ChatRequest(**{**known, **fields})).model_dump()


def generate(**fields: Any) -> dict[str, Any]:
    return grpc_api.generate_request(pb.GenerateRequest(**{"text": "a", **fields})).model_dump()


def embed(**fields: Any) -> dict[str, Any]:
    inputs = [pb.EmbedRequest.Input(text="a")]
    return grpc_api.embedding_request(pb.EmbedRequest(**{"inputs": inputs, **fields})).model_dump()


def of_message(**fields: Any) -> dict[str, Any]:
    return chat(messages=[pb.Message(**{"role": "user", "content": "a", **fields})])


def of_call(**fields: Any) -> dict[str, Any]:
    call = pb.ToolCall(**{"name": "g", **fields})
    return chat(messages=[pb.Message(role="assistant", tool_calls=[call])])


MADE: list[tuple[type[Message_], Callable[..., dict[str, Any]]]] = [
    (pb.ChatRequest, chat),
    (pb.GenerateRequest, generate),
    (pb.EmbedRequest, embed),
    (pb.EmbedRequest.Input, lambda **fields: embed(inputs=[pb.EmbedRequest.Input(**fields)])),
    (pb.Sampling, lambda **fields: chat(sampling=pb.Sampling(**fields))),
    (pb.Sampling, lambda **fields: generate(sampling=pb.Sampling(**fields))),
    (pb.Message, of_message),
    (pb.ToolCall, of_call),
    (pb.Tool, lambda **fields: chat(tools=[pb.Tool(**{"name": "g", **fields})])),
]
FIELDS = [(kind, field.name, made) for kind, made in MADE for field in kind.DESCRIPTOR.fields]


@pytest.mark.parametrize(("kind", "name", "made"), FIELDS)
def test_every_field_makes_another_request(
    kind: type[Message_], name: str, made: Callable[..., dict[str, Any]]
) -> None:
    """None of our own .proto file is dropped on the way."""
    if name in BY_THE_SERVICER:
        assert kind in (pb.ChatRequest, pb.GenerateRequest)
        return

    assert made(**{name: SAID[name]}) != made()


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ({"tool_choice": "required"}, "required"),
        (
            {"tool_choice": "required", "allowed_tools": ["f"]},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        ),
    ],
)
def test_which_tools_are_called_is_said(options: Any, choice: Any) -> None:
    tools = [Tool("f", parameters={"type": "object"}, strict=True), Tool("g")]
    asked: Any = {"tools": tools, "parallel_tool_calls": False, **options}
    made = grpc_api.chat_request(requests.chat_request("hi", asked))
    functions = [
        {"name": "f", "parameters": {"type": "object"}, "strict": True},
        {"name": "g"},
    ]
    body = {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": one} for one in functions],
        "tool_choice": choice,
        "parallel_tool_calls": False,
    }

    assert made.model_dump() == parse_body(ChatCompletionRequest, json.dumps(body)).model_dump()


def test_a_choice_of_no_tool_is_refused() -> None:
    asked: Any = {"tools": [Tool("f")], "allowed_tools": ["g"]}

    with pytest.raises(InvalidRequest, match="tool_choice: 'g' is none of the tools: f"):
        grpc_api.chat_request(requests.chat_request("hi", asked))
