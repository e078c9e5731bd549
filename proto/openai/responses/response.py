"""What /v1/responses answers. Nulls are written: OpenAI's clients know every field as there."""

from typing import Any, Literal, Self

from pydantic import BaseModel

from raylax.proto.openai.responses.choice import ToolChoice
from raylax.proto.openai.responses.request import ResponsesRequest, TextConfig
from raylax.proto.openai.responses.tools import ResponseTool
from raylax.proto.openai.structure import TextFormat

PREFIX = "resp_"
"""Of the ids of responses."""
Status = Literal["in_progress", "completed", "incomplete", "failed"]


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[str] = []
    logprobs: list[str] = []


class OutputMessage(BaseModel):
    id: str
    type: Literal["message"] = "message"
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class OutputReasoningText(BaseModel):
    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class OutputReasoning(BaseModel):
    id: str
    type: Literal["reasoning"] = "reasoning"
    status: Status
    summary: list[str] = []
    content: list[OutputReasoningText]
    encrypted_content: None = None


class OutputCall(BaseModel):
    id: str
    type: Literal["function_call"] = "function_call"
    status: Status
    call_id: str
    name: str
    namespace: str | None
    arguments: str


class OutputCustomCall(BaseModel):
    id: str
    type: Literal["custom_tool_call"] = "custom_tool_call"
    status: Status
    call_id: str
    name: str
    namespace: str | None
    input: str


OutputItem = OutputMessage | OutputReasoning | OutputCall | OutputCustomCall


class InputTokensDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseError(BaseModel):
    code: str
    message: str


class ReasoningOut(BaseModel):
    effort: str | None = None
    summary: None = None


class Response(BaseModel):
    id: str
    object: Literal["response"] = "response"
    access_programs: None = None
    created_at: int
    status: Status
    background: bool = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ReasoningOut
    service_tier: Literal["default"] = "default"
    store: bool
    temperature: float | None
    text: TextConfig
    tool_choice: ToolChoice
    tools: list[ResponseTool]
    top_p: float | None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None

    @classmethod
    def to(cls, body: ResponsesRequest, **fields: Any) -> Self:
        """The response to `body`, which repeats some of its fields."""
        echoed = cls.model_fields.keys() & ResponsesRequest.model_fields.keys()
        asked = {name: getattr(body, name) for name in echoed - {"text", "reasoning"}}
        form = None if body.text is None else body.text.format
        text = TextConfig(format=form or TextFormat(type="text"))
        return cls(reasoning=ReasoningOut(effort=body.effort), text=text, **asked | fields)
