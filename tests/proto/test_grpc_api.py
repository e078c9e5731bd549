"""What clients of raylax.v1 say, as requests of OpenAI's API."""

import json
from typing import Any

import pytest

from raylax.proto import grpc_api
from raylax.proto.client import requests
from raylax.proto.client.values import Message
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.prompting import PromptFields
from raylax.proto.openai.shared import parse_body
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
