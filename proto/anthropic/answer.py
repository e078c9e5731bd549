"""What the Messages API answers. Nulls are written, as Anthropic does; but a text without citations
has none, for Vercel's client takes no null there."""

from typing import Any, Literal

from pydantic import BaseModel

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextOut(BaseModel):
    type: Literal["text"] = "text"
    text: str


class ThinkingOut(BaseModel):
    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""


class DirectCaller(BaseModel):
    """The model itself calls, no code of its."""

    type: Literal["direct"] = "direct"


class ToolUseOut(BaseModel):
    type: Literal["tool_use"] = "tool_use"
    id: str
    caller: DirectCaller = DirectCaller()
    name: str
    input: dict[str, Any]


BlockOut = TextOut | ThinkingOut | ToolUseOut


class Usage(BaseModel):
    input_tokens: int
    """Tokens of the prompt, without those that were found in the prefix cache."""
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int
    cache_creation: None = None
    inference_geo: None = None
    output_tokens: int
    output_tokens_details: None = None
    server_tool_use: None = None
    service_tier: Literal["standard"] = "standard"


class Message(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[BlockOut] = []
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
    diagnostics: None = None
    usage: Usage


class TokenCount(BaseModel):
    input_tokens: int
