"""raylax.v1 in terms of OpenAI's requests and answers, so that both APIs share their rules."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent, TextLogprob, readable
from raylax.proto.calls.vector import vectors_of
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.body import MOST_VALUES, validated
from raylax.proto.openai.chat import MOST_MESSAGES, ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import MOST_INPUTS, EmbeddingRequest
from raylax.proto.openai.shared import MOST_ALLOWED, Usage
from raylax.proto.openai.structure import MOST_TEXTS
from raylax.proto.parsers.base import CallBegun, CallBroken, CallPiece, Content
from raylax.proto.pb import raylax_pb2 as pb

Item = TypeVar("Item")
OPTIONAL = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "seed", "max_tokens", "n", "typical_p", "min_tokens",
    "include_stop_str_in_output", "skip_special_tokens", "return_token_ids",
    "prompt_logprobs",
)  # fmt: skip

PROMPTING = (
    "chat_template", "reasoning_effort", "add_generation_prompt", "continue_final_message",
    "add_special_tokens", "special_tokens_in_content", "enable_thinking", "separate_reasoning",
    "include_reasoning", "thinking_budget",
)  # fmt: skip


def sampling_fields(message: pb.Sampling) -> dict[str, Any]:
    """The fields of a JSON body that say the same."""
    given = {field.name: value for field, value in message.ListFields()}
    fields: dict[str, Any] = {name: given[name] for name in OPTIONAL if name in given}
    if "seed" in fields and fields["seed"] >= 1 << 63:
        fields["seed"] -= 1 << 64  # the same 64 bits, as JSON's signed integer
    if message.logit_bias:
        fields["logit_bias"] = {str(token): value for token, value in message.logit_bias.items()}
    if message.stop:
        fields["stop"] = bounded(message.stop)
    if message.stop_token_ids:
        fields["stop_token_ids"] = bounded(message.stop_token_ids)
    if message.allowed_token_ids:
        fields["allowed_token_ids"] = list(message.allowed_token_ids[: MOST_ALLOWED + 1])
    if message.bad_words:
        fields["bad_words"] = bounded(message.bad_words)
    if form := message.WhichOneof("form"):
        fields |= form_fields(form, getattr(message, form))
    return {**fields, "ignore_eos": message.ignore_eos}


def form_fields(form: str, value: Any) -> dict[str, Any]:
    """The field that says the same of the form of an answer."""
    if form == "choice":
        return {"guided_choice": list(value.texts[: MOST_TEXTS + 1])}
    return {form: value}


def shared_fields(message: pb.ChatRequest | pb.GenerateRequest) -> dict[str, Any]:
    """The fields of a JSON body that chats and completions have in common."""
    fields = {**sampling_fields(message.sampling), "model": message.model or None}
    if message.HasField("timeout_s"):
        fields["timeout"] = message.timeout_s
    if message.priority:
        fields["priority"] = message.priority
    if message.cache_salt:
        fields["cache_salt"] = message.cache_salt
    return fields | truncation_fields(message)


def truncation_fields(
    message: pb.ChatRequest | pb.GenerateRequest | pb.EmbedRequest,
) -> dict[str, Any]:
    """How a prompt is cut that is too long."""
    fields: dict[str, Any] = {}
    if message.HasField("truncate_prompt_tokens"):
        fields["truncate_prompt_tokens"] = message.truncate_prompt_tokens
    if message.truncation_side:
        fields["truncation_side"] = message.truncation_side
    return fields


def bounded(repeated: Sequence[Item]) -> list[Item]:
    """The first entries: one more than any list may hold is enough to be refused."""
    return list(repeated[: MOST_MESSAGES + 1])


def chat_request(message: pb.ChatRequest) -> ChatCompletionRequest:
    """Raises InvalidRequest by the rules of the HTTP API."""
    fields = shared_fields(message)
    if message.sampling.HasField("top_logprobs"):
        fields |= {"logprobs": True, "top_logprobs": message.sampling.top_logprobs}
    fields["messages"] = [message_fields(m) for m in bounded(message.messages)]
    if message.tools:
        fields["tools"] = [tool_fields(tool) for tool in bounded(message.tools)]
    fields |= choice_fields(message)
    fields |= prompt_fields(message)
    return validated(ChatCompletionRequest, fields)


def choice_fields(message: pb.ChatRequest) -> dict[str, Any]:
    """Which tools are to be called."""
    fields: dict[str, Any] = {}
    if message.HasField("parallel_tool_calls"):
        fields["parallel_tool_calls"] = message.parallel_tool_calls
    if message.tool_choice:
        fields["tool_choice"] = message.tool_choice
    if message.allowed_tools:
        names = bounded(message.allowed_tools)
        tools = [{"type": "function", "function": {"name": name}} for name in names]
        allowed = {"mode": message.tool_choice or "auto", "tools": tools}
        fields["tool_choice"] = {"type": "allowed_tools", "allowed_tools": allowed}
    return fields


def prompt_fields(message: pb.ChatRequest) -> dict[str, Any]:
    """How the messages become a prompt. Raises InvalidRequest for what is no JSON."""
    given = {field.name: value for field, value in message.ListFields()}
    fields = {name: given[name] for name in PROMPTING if name in given}
    if message.chat_template_kwargs_json:
        name = "chat_template_kwargs"
        fields[name] = parsed(message.chat_template_kwargs_json, f"{name}_json")
    if message.documents_json:
        documents = bounded(message.documents_json)
        fields["documents"] = [parsed(one, "documents_json") for one in documents]
    return fields


def parsed(text: str, field: str) -> Any:
    """Raises InvalidRequest for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{field}: not valid JSON: {error}", param=field) from None


def message_fields(message: pb.Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": c.id, "function": {"name": c.name, "arguments": c.arguments_json}}
            for c in bounded(message.tool_calls)
        ]
    for name in ("tool_call_id", "name", "reasoning_content"):
        if value := getattr(message, name):
            fields[name] = value
    return fields


def tool_fields(tool: pb.Tool) -> dict[str, Any]:
    """Raises InvalidRequest for parameters that are no JSON."""
    parameters = parsed(tool.parameters_json or "{}", "tools.parameters_json")
    said = {"name": tool.name, "description": tool.description, "strict": tool.strict}
    return {"type": "function", "function": {**said, "parameters": parameters}}


def generate_request(message: pb.GenerateRequest) -> CompletionRequest:
    """Raises InvalidRequest by the rules of the HTTP API."""
    fields = shared_fields(message)
    if message.sampling.HasField("top_logprobs"):
        fields["logprobs"] = message.sampling.top_logprobs
    check_count(len(message.tokens.ids), "prompt")
    tokens = message.HasField("tokens")
    fields["prompt"] = list(message.tokens.ids) if tokens else message.text
    if message.HasField("add_special_tokens"):
        fields["add_special_tokens"] = message.add_special_tokens
    if message.HasField("best_of"):
        fields["best_of"] = message.best_of
    return validated(CompletionRequest, fields)


def timeout_s(
    message: pb.ChatRequest | pb.GenerateRequest, remaining_s: float | None
) -> float | None:
    """Seconds that the call may take: by its request or its deadline, whichever ends earlier."""
    if not message.HasField("timeout_s"):
        return remaining_s
    return message.timeout_s if remaining_s is None else min(message.timeout_s, remaining_s)


def check_count(token_ids: int, field: str) -> None:
    """Raises InvalidRequest before a huge list is looked at."""
    if token_ids > MOST_VALUES:
        raise InvalidRequest(
            f"{field}: may have {MOST_VALUES} token ids, it has {token_ids}", param=field
        )


def embedding_request(message: pb.EmbedRequest) -> EmbeddingRequest:
    """Raises InvalidRequest by the rules of the HTTP API: the inputs are all text or all ids."""
    inputs = message.inputs[: MOST_INPUTS + 1]
    check_count(sum(len(one.tokens.ids) for one in inputs), "inputs")
    fields = {"model": message.model or None, **truncation_fields(message)}
    kinds = {one.HasField("tokens") for one in inputs}
    if len(kinds) > 1:
        raise InvalidRequest("inputs: must all be text or all be token ids", param="inputs")
    fields["input"] = [list(one.tokens.ids) if True in kinds else one.text for one in inputs]
    if message.HasField("dimensions"):
        fields["dimensions"] = message.dimensions
    return validated(EmbeddingRequest, fields)


def logprob_message(entry: TextLogprob) -> pb.TokenLogprob:
    top = [pb.TokenLogprob.Alternative(token=readable(t), logprob=v) for t, v in entry.top]
    return pb.TokenLogprob(token=entry.text, logprob=entry.logprob, top=top)


def reply_fields(id: str, model: str, event: TextEvent) -> dict[str, Any]:
    """What ChatReply and GenerateReply have in common."""
    return {
        "id": id,
        "model": model,
        "choice": event.choice,
        "text": event.text,
        "finish_reason": event.finish_reason or "",
        "logprobs": [logprob_message(entry) for entry in event.logprobs],
        "token_ids": event.token_ids,
    }


def usage_message(usage: Usage) -> pb.Usage:
    return pb.Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.prompt_tokens_details.cached_tokens,
        reasoning_tokens=usage.completion_tokens_details.reasoning_tokens,
    )


def best_events(call: Call) -> list[TextEvent]:
    """The answers that are told of a call which is done, each whole. Raises what ended it."""
    return [
        TextEvent(
            choice.index,
            choice.text,
            logprobs=tuple(choice.logprob_entries),
            finish_reason=choice.finish_reason,
            token_ids=tuple(choice.token_ids or ()),
        )
        for choice in call.best_parts()
    ]


def prompt_logprobs(call: Call) -> list[pb.TokenLogprob]:
    """Those of the call's prompt, if they are told."""
    choice, told = call.parts[0], list[pb.TokenLogprob]()
    if not isinstance(choice, Choice) or choice.prompt_tops is None:
        return told
    for token, entry in zip(call.requests[0].prompt[1:], choice.prompt_scores, strict=False):
        told.append(logprob_message(choice.logprob(token, entry, choice.prompt_tops)))
    return told


def chat_reply(id: str, model: str, event: TextEvent) -> pb.ChatReply:
    news = (call_message(one) for one in event.contents)
    calls = [one for one in news if one is not None]
    fields = reply_fields(id, model, event)
    return pb.ChatReply(**fields, tool_calls=calls, reasoning=event.thought)


def call_message(one: Content) -> pb.ToolCallPart | None:
    """News of a call; None for what says none, as its end."""
    match one:
        case CallBegun(index, id, name):
            return pb.ToolCallPart(index=index, id=id, name=name)
        case CallPiece(index, arguments):
            return pb.ToolCallPart(index=index, arguments_json=arguments)
        case CallBroken(index, written):
            return pb.ToolCallPart(index=index, broken=written)
    return None


def generate_reply(id: str, model: str, event: TextEvent) -> pb.GenerateReply:
    return pb.GenerateReply(**reply_fields(id, model, event))


def embed_reply(model: str, call: Call) -> pb.EmbedReply:
    """The answer of an embedding call that is done."""
    embeddings = [pb.Embedding(values=vector) for vector in vectors_of(call)]
    return pb.EmbedReply(model=model, embeddings=embeddings, usage=usage_message(call.usage))
