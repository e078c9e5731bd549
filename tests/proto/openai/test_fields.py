"""Every field of the APIs that are spoken here is in a model or in a table; no other is ignored in
silence."""

import contextvars
from typing import Any

import anthropic.types as a
import openai.types.chat as chat
import openai.types.responses as r
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params, response_input_param
from openai.types.shared_params import FunctionDefinition

from raylax.proto.anthropic import messages as ours_a
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai import chat as ours
from raylax.proto.openai.body import StrictModel, parse_body, validated
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.field_rules import Refused
from raylax.proto.openai.responses import items
from raylax.proto.openai.responses import request as ours_r
from raylax.proto.openai.responses import tools as tools_r
from raylax.proto.openai.scores import ClassifyRequest, RerankRequest, ScoreRequest
from raylax.proto.openai.shared import StreamOptions
from raylax.proto.openai.tokenize import DetokenizeRequest, TokenizeRequest
from raylax.proto.openai.tools import Function
from raylax.proto.warnings import collect_warnings

THEIRS: list[tuple[type[StrictModel], Any]] = [
    (ours.ChatCompletionRequest, chat_create_params.CompletionCreateParamsBase),
    (CompletionRequest, completion_create_params.CompletionCreateParamsBase),
    (ours_r.ResponsesRequest, response_create_params.ResponseCreateParamsBase),
    (EmbeddingRequest, embedding_create_params.EmbeddingCreateParams),
    (ours_a.MessagesRequest, message_create_params.MessageCreateParamsBase),
    (ours_a.MessagesRequest, beta_create_params.MessageCreateParamsBase),
    (ours_a.CountTokensRequest, message_count_tokens_params.MessageCountTokensParams),
    (StreamOptions, chat.ChatCompletionStreamOptionsParam),
    (ours.Message, chat.ChatCompletionAssistantMessageParam),
    (ours.Message, chat.ChatCompletionUserMessageParam),
    (ours.Message, chat.ChatCompletionToolMessageParam),
    (ours.Message, chat.ChatCompletionFunctionMessageParam),
    (ours.TextPart, chat.ChatCompletionContentPartTextParam),
    (ours.AssistantToolCall, chat.ChatCompletionMessageFunctionToolCallParam),
    (Function, FunctionDefinition),
    (tools_r.FunctionTool, r.FunctionToolParam),
    (tools_r.CustomTool, r.CustomToolParam),
    (tools_r.NamespaceTool, r.NamespaceToolParam),
    (items.CustomToolCall, r.ResponseCustomToolCallParam),
    (items.FunctionCallOutput, r.ResponseCustomToolCallOutputParam),
    (items.LocalShellCall, response_input_param.LocalShellCall),
    (items.ShellAction, response_input_param.LocalShellCallAction),
    (items.LocalShellCallOutput, response_input_param.LocalShellCallOutput),
    (ours_r.TextConfig, r.ResponseTextConfigParam),
    (items.FunctionCall, r.ResponseFunctionToolCallParam),
    (items.InputMessage, r.ResponseOutputMessageParam),
    (items.InputMessage, r.EasyInputMessageParam),
    (items.FunctionCallOutput, response_input_param.FunctionCallOutput),
    (items.Text, r.ResponseOutputTextParam),
    (items.Text, r.ResponseInputTextParam),
    (ours_a.Tool, a.ToolParam),
    (ours_a.Text, a.TextBlockParam),
    (ours_a.ToolUse, a.ToolUseBlockParam),
    (ours_a.ToolResult, a.ToolResultBlockParam),
    (ours_a.ToolChoice, a.ToolChoiceAutoParam),
]
BODIES: list[tuple[type[StrictModel], dict[str, Any]]] = [
    (ours.ChatCompletionRequest, {"messages": [{"role": "user", "content": "hi"}]}),
    (CompletionRequest, {"prompt": "hi"}),
    (ours_r.ResponsesRequest, {"input": "hi"}),
    (EmbeddingRequest, {"input": "hi"}),
    (ScoreRequest, {"text_1": "hi", "text_2": "ho"}),
    (RerankRequest, {"query": "hi", "documents": ["ho"]}),
    (ClassifyRequest, {"input": "hi"}),
    (ours_a.MessagesRequest, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}),
    (ours_a.CountTokensRequest, {"messages": [{"role": "user", "content": "hi"}]}),
    (TokenizeRequest, {"prompt": "hi"}),
    (DetokenizeRequest, {"tokens": [1]}),
]
EXTENSIONS = (
    "best_of use_beam_search top_k min_p repetition_penalty length_penalty stop_token_ids "
    "include_stop_str_in_output ignore_eos min_tokens skip_special_tokens "
    "spaces_between_special_tokens truncate_prompt_tokens prompt_logprobs allowed_token_ids "
    "bad_words echo add_special_tokens mm_processor_kwargs guided_json guided_regex guided_choice "
    "guided_grammar guided_decoding_backend guided_whitespace_pattern structured_outputs priority "
    "request_id return_tokens_as_token_ids return_token_ids cache_salt kv_transfer_params "
    "vllm_xargs thinking_token_budget regex ebnf json_schema no_stop_trim stop_regex lora_path "
    "session_params return_hidden_states rid custom_logit_processor separate_reasoning "
    "stream_reasoning debug_config enable_thinking"
)
OF_CHAT = (
    "chat_template chat_template_kwargs documents add_generation_prompt continue_final_message "
    "reasoning_effort"
)


@pytest.mark.parametrize(("model", "typed"), THEIRS, ids=lambda one: str(one.__name__))
def test_every_field_of_their_types_is_known(model: type[StrictModel], typed: Any) -> None:
    """Also those of their next version."""
    names = typed.__annotations__.keys()
    known = (
        {*model.known_fields(), "function_call", "refusal"}
        if model is ours.Message
        else (model.known_fields())
    )

    assert names
    assert sorted(names - set(known)) == []


@pytest.mark.parametrize("model", [ours.ChatCompletionRequest, CompletionRequest])
def test_every_extension_of_other_servers_is_known(model: type[StrictModel]) -> None:
    asked = f"{EXTENSIONS} {OF_CHAT if model is ours.ChatCompletionRequest else ''}"

    assert [name for name in asked.split() if name not in model.known_fields()] == []


@pytest.mark.parametrize("model", dict.fromkeys(model for model, _ in [*THEIRS, *BODIES]))
def test_a_table_has_nothing_that_its_model_has(model: type[StrictModel]) -> None:
    assert sorted(model.not_here.keys() & model.model_fields.keys()) == []


@pytest.mark.parametrize(("model", "body"), BODIES, ids=lambda one: getattr(one, "__name__", "-"))
def test_refused_by_name_but_where_it_asks_for_nothing(
    model: type[StrictModel], body: dict[str, Any]
) -> None:
    """Whatever the value, as null, and at the values that the table says."""
    for name, rule in model.not_here.items():
        validated(model, {**body, name: None})
        if not isinstance(rule, Refused):
            validated(model, {**body, name: ["anything"]})
            continue
        for value in rule.but:
            validated(model, {**body, name: value})
        numbers = [int(one) for one in rule.but if isinstance(one, bool)]  # equal, but other values
        for value in (12345, "x", {"a": [1]}, *numbers):
            with pytest.raises(InvalidRequest) as caught:
                validated(model, {**body, name: value})
            assert caught.value.param == name
            assert rule.why in caught.value.message


CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
NESTED = [
    ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages.0.audio"),
    ({"messages": [{"role": "assistant", "content": "a", "prefix": True}]}, "messages.0.prefix"),
    ({"messages": [{"role": "user", "content": "a", "refusal": "b"}]}, "messages.0.refusal"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param"), NESTED)
def test_inside_of_objects_too(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(ours.ChatCompletionRequest, {**BODIES[0][1], **fields})

    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


def parsed(raw: str, strict: bool = False) -> dict[str, str]:
    """What is warned of."""

    def run() -> dict[str, str]:
        warnings = collect_warnings()
        parse_body(CompletionRequest, raw, strict)
        return warnings.headers()

    return contextvars.Context().run(run)


def test_an_unknown_field_is_warned_of_or_a_mistake() -> None:
    """With the name that was meant, if there is one like it; whatever a client calls it."""
    raw = '{"prompt": "a", "temprature": 1, "\\r\\nX": 2, "store": true}'
    said = "temprature: unknown field; did you mean temperature?"

    assert parsed(raw)["warnings"].startswith(f"{said}; it is ignored; ")
    assert "\n" not in parsed(raw)["warnings"] and "store" not in parsed(raw)["warnings"]
    with pytest.raises(InvalidRequest) as caught:
        parsed(raw, strict=True)
    assert (caught.value.message, caught.value.param) == (said, "temprature")
    assert parsed('{"prompt": "a", "user": "b"}', strict=True) == {}
    long = '{"prompt": "a", "' + "x" * 1_000_000 + '": 1}'
    assert len(parsed(long)["warnings"]) < 300
    with pytest.raises(InvalidRequest, match="unknown field") as caught:
        parsed(long, strict=True)
    assert len(caught.value.message) + len(caught.value.param or "") < 300


LOOK = {"type": "function", "name": "look", "parameters": {}}


@pytest.mark.parametrize(
    ("kind", "asked", "tool", "choice"),
    [
        (
            ours.ChatCompletionRequest,
            {"messages": [{"role": "user", "content": "hi"}]},
            {"type": "function", "function": {"name": "look"}},
            {"type": "function", "function": {"name": "look"}},
        ),
        (ours_r.ResponsesRequest, {"input": "hi"}, LOOK, {"type": "function", "name": "look"}),
        (
            ours_r.ResponsesRequest,
            {"input": "hi"},
            {"type": "custom", "name": "look"},
            {"type": "custom", "name": "look"},
        ),
    ],
)
def test_nobody_is_warned_of_a_choice(
    kind: type[StrictModel], asked: dict[str, Any], tool: Any, choice: Any
) -> None:
    """That the other kinds of choice have no such field is nothing to its client."""
    warnings = collect_warnings()
    validated(kind, {**asked, "tools": [tool], "tool_choice": choice})

    assert warnings.said == []
