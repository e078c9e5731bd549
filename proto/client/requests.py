"""From what a client says to messages of raylax.v1."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from raylax.proto.client.values import Message, Tool
from raylax.proto.pb import raylax_pb2 as pb


class Options(TypedDict, total=False):
    """Options of a request for text. What is left out is as the model and the router have it."""

    model: str
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    typical_p: float
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    logit_bias: Mapping[int, float]
    seed: int
    max_tokens: int
    stop: str | Sequence[str]
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    min_tokens: int
    allowed_token_ids: Sequence[int]
    bad_words: Sequence[str]
    include_stop_str_in_output: bool
    skip_special_tokens: bool
    return_token_ids: bool
    truncate_prompt_tokens: int
    truncation_side: Literal["left", "right"]
    n: int
    top_logprobs: int
    prompt_logprobs: int
    session: str
    priority: Literal["high", "normal", "low"]
    timeout_s: float
    explain: bool
    resume_ttl_s: float
    add_special_tokens: bool
    cache_salt: str


class GenerateOptions(Options, total=False):
    """Options of a request with a prompt."""

    best_of: int


class ChatOptions(Options, total=False):
    """Options of a request with messages."""

    tools: Sequence[Tool]
    tool_choice: Literal["auto", "none", "required"]
    allowed_tools: Sequence[str]
    parallel_tool_calls: bool
    chat_template: str
    chat_template_kwargs: Mapping[str, Any]
    reasoning_effort: str
    documents: Sequence[Mapping[str, Any]]
    add_generation_prompt: bool
    continue_final_message: bool
    special_tokens_in_content: bool
    enable_thinking: bool
    separate_reasoning: bool
    include_reasoning: bool
    thinking_budget: int


Messages = str | Sequence[Message | Mapping[str, Any]]
"""A text is one message of the user."""
Prompt = str | Sequence[int]
"""Text, or token ids."""
SAMPLING = frozenset(field.name for field in pb.Sampling.DESCRIPTOR.fields)
PROMPTING = (
    "chat_template", "reasoning_effort", "add_generation_prompt", "continue_final_message",
    "special_tokens_in_content", "enable_thinking", "separate_reasoning", "include_reasoning",
    "thinking_budget", "tool_choice", "allowed_tools", "parallel_tool_calls",
)  # fmt: skip
ROUTING = (
    "model", "session", "priority", "explain", "resume_ttl_s", "add_special_tokens", "cache_salt",
    "truncate_prompt_tokens", "truncation_side",
)  # fmt: skip


def check(options: Mapping[str, object], known: type) -> None:
    """Raises TypeError for an option that does not exist: it would have no effect."""
    names: Mapping[str, object] = known.__annotations__
    for name in options:
        if name not in names:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(sorted(names))}")


def shared_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that requests for text have in common."""
    sampling = {name: value for name, value in options.items() if name in SAMPLING}
    if isinstance(stop := sampling.get("stop"), str):
        sampling["stop"] = [stop]
    if "seed" in sampling:
        sampling["seed"] %= 1 << 64  # the same 64 bits, without a sign
    routing = {name: options[name] for name in ROUTING if name in options}
    return {"sampling": pb.Sampling(**sampling), **routing}


def chat_request(messages: Messages, options: ChatOptions) -> pb.ChatRequest:
    check(options, ChatOptions)
    if isinstance(messages, str):
        messages = [Message("user", messages)]
    tools = [
        pb.Tool(
            name=tool.name,
            description=tool.description,
            parameters_json=json.dumps(tool.parameters),
            strict=tool.strict,
        )
        for tool in options.get("tools", ())
    ]
    said = [message(one) for one in messages]
    prompting: dict[str, Any] = {name: options[name] for name in PROMPTING if name in options}  # type: ignore[literal-required]
    if "chat_template_kwargs" in options:
        prompting["chat_template_kwargs_json"] = json.dumps(options["chat_template_kwargs"])
    prompting["documents_json"] = [json.dumps(one) for one in options.get("documents", ())]
    return pb.ChatRequest(messages=said, tools=tools, **prompting, **shared_fields(options))


def message(one: Message | Mapping[str, Any]) -> pb.Message:
    """Raises TypeError for a mapping that has other keys than a Message has fields."""
    if not isinstance(one, Message):
        one = Message(**one)
    calls = [
        pb.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
        for call in one.tool_calls
    ]
    return pb.Message(
        role=one.role,
        content=one.content,
        tool_calls=calls,
        tool_call_id=one.tool_call_id,
        name=one.name,
        reasoning_content=one.reasoning_content,
    )


def generate_request(prompt: Prompt, options: GenerateOptions) -> pb.GenerateRequest:
    check(options, GenerateOptions)
    fields = shared_fields(options)
    if "best_of" in options:
        fields["best_of"] = options["best_of"]
    if isinstance(prompt, str):
        return pb.GenerateRequest(text=prompt, **fields)
    return pb.GenerateRequest(tokens=pb.TokenIds(ids=prompt), **fields)


def embed_request(inputs: Sequence[Prompt], model: str, dimensions: int | None) -> pb.EmbedRequest:
    given = [
        pb.EmbedRequest.Input(text=one)
        if isinstance(one, str)
        else pb.EmbedRequest.Input(tokens=pb.TokenIds(ids=one))
        for one in inputs
    ]
    return pb.EmbedRequest(model=model, inputs=given, dimensions=dimensions)
