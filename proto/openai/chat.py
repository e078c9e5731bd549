"""POST /v1/chat/completions. https://platform.openai.com/docs/api-reference/chat"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, Discriminator, Tag, model_validator

from raylax.proto.openai import fields
from raylax.proto.openai.body import BoundedList, StrictModel, kind_of
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.prompting import ThinkingFields
from raylax.proto.openai.shared import (
    FINGERPRINT,
    Count,
    ResponseModel,
    SamplingFields,
    Usage,
)
from raylax.proto.openai.telling import PromptLogprobs, TopLogprobs
from raylax.proto.openai.tools import MOST_TOOLS, Tool, ToolChoice, check_tools, choosing
from raylax.proto.parsers.notation import strict_json

MOST_MESSAGES = 2048
MOST_PARTS = 2048
REASONED = ("reasoning_content", "reasoning", "thinking")


class TextPart(StrictModel):
    not_here: ClassVar[FieldTable] = fields.CACHE_MARKS
    type: Literal["text"] = "text"
    text: str


class RefusalPart(StrictModel):
    type: Literal["refusal"]
    refusal: str


def part_of(given: Any) -> Any:
    """What the assistant has refused with is text, too."""
    if isinstance(given, RefusalPart):
        return TextPart(text=given.refusal)
    return given


Part = Annotated[
    Annotated[TextPart, Tag("[text]")] | Annotated[RefusalPart, Tag("[refusal]")],
    Discriminator(
        kind_of,
        custom_error_type="part",
        custom_error_message="only parts of type text and refusal are supported: the models here "
        "read text alone; describe the image, the sound or the file, or put its text into a part",
    ),
    AfterValidator(part_of),
]


class FunctionCall(StrictModel):
    name: str
    arguments: str = ""


class AssistantToolCall(StrictModel):
    not_here: ClassVar[FieldTable] = fields.CALL
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall

    def for_template(self) -> dict[str, Any]:
        """The call as chat templates expect it: they write the arguments as JSON themselves, and
        would quote a string twice."""
        function = {"name": self.function.name, "arguments": arguments_of(self.function.arguments)}
        return {"id": self.id, "type": self.type, "function": function}


def arguments_of(written: str) -> Any:
    """The object that a call's arguments are; none at all are those of a function without any. What
    is no object stays the text that it is: a model may have written it."""
    try:
        value = strict_json(written.strip() or "{}")
    except (ValueError, RecursionError):
        return written
    return {} if value is None else value if isinstance(value, dict) else written


class Message(StrictModel):
    not_here: ClassVar[FieldTable] = fields.MESSAGE
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], BoundedList(MOST_PARTS)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[AssistantToolCall], BoundedList(MOST_TOOLS)] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    """What the assistant thought before, for templates that show it."""
    reasoning: str | None = None
    """The same by its other name."""
    thinking: str | None = None
    """The same by gpt-oss's name."""
    tool_plan: str | None = None
    """Why the assistant calls its tools, for templates that show it."""

    @model_validator(mode="before")
    @classmethod
    def _older_and_other_names(cls, given: Any) -> Any:
        """Messages as they were before there were tools, or with a refusal for a content."""
        return renewed(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(
                f"content: only the assistant's may be left out, not the {self.role}'s"
            )
        return self

    def for_template(self) -> dict[str, Any]:
        """The message as chat templates expect it, its content as the client wrote it: text, or a
        list of parts. What is not there has no key, but for the content, which is then empty."""
        content: str | list[dict[str, Any]] = ""
        if isinstance(self.content, list):
            content = [part.model_dump() for part in self.content]
        elif self.content is not None:
            content = self.content
        shown: dict[str, Any] = {"role": self.role, "content": content}
        if self.tool_calls:
            shown["tool_calls"] = [call.for_template() for call in self.tool_calls]
        for name in ("tool_call_id", "name", *REASONED, "tool_plan"):
            if (value := getattr(self, name)) is not None:
                shown[name] = value
        if thought := next((shown[name] for name in REASONED if name in shown), None):
            shown.setdefault("reasoning_content", thought)
        return shown


def renewed(message: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message, the deprecated ones by those that took their place: a function was
    what is a tool now, and called by `function_call`. Without a content, a refusal is it."""
    given = {name: value for name, value in message.items() if value is not None}
    if given.get("role") == "function":
        given["role"] = "tool"
    if given.get("role") == "assistant":
        if (call := given.pop("function_call", None)) is not None:
            given.setdefault("tool_calls", [{"function": call}])
        if (refusal := given.pop("refusal", None)) is not None:
            given.setdefault("content", refusal)
    return given


class ChatCompletionRequest(SamplingFields, ThinkingFields):
    """A body of /v1/chat/completions, and what bodies of newer APIs are turned into."""

    not_here: ClassVar[FieldTable] = fields.CHAT
    messages: Annotated[list[Message], BoundedList(MOST_MESSAGES, least=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    top_logprobs: TopLogprobs | None = None
    tools: Annotated[list[Tool], BoundedList(MOST_TOOLS)] | None = None
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    """Whether an answer may call several tools; else only its first call is kept."""

    @property
    def offered(self) -> list[Tool]:
        """The tools that may be called."""
        names = choosing(self.tool_choice).names
        return [one for one in self.tools or [] if names is None or one.function.name in names]

    @property
    def must_call(self) -> bool:
        """Whether the answer has to call a tool."""
        return choosing(self.tool_choice).must

    @model_validator(mode="after")
    def _check_chat(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs: only allowed when logprobs is true")
        check_tools(self.tools or [], self.tool_choice)
        return self


class TopLogprob(BaseModel):
    """Of these there are twenty for each token: nothing of it is left out, so that pydantic writes
    it without asking us."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[TokenLogprob]
    refusal: None = None


class ToolCallOut(ResponseModel):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class FunctionDelta(ResponseModel):
    name: str | None = None
    arguments: str


class ToolCallDelta(ResponseModel):
    """Of a call the first one has its id and its name; in all others its arguments go on."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta


class AnswerMessage(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"content", "refusal"})
    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | None = None
    """What the model thought before it spoke."""
    reasoning: str | None = None
    """The same by its other name."""
    refusal: None = None
    annotations: list[str] = []
    """There are none; clients walk them."""
    tool_calls: list[ToolCallOut] | None = None


class Choice(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"logprobs", "finish_reason"})
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: str | None
    token_ids: list[int] | None = None


class ChatCompletion(ResponseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    service_tier: Literal["default"] = "default"
    system_fingerprint: str = FINGERPRINT
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: PromptLogprobs | None = None


class DeltaMessage(ResponseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"logprobs", "finish_reason"})
    index: int
    delta: DeltaMessage
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None


class ChatCompletionChunk(ResponseModel):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    service_tier: Literal["default"] = "default"
    system_fingerprint: str = FINGERPRINT
    prompt_token_ids: list[int] | None = None


class CountedChunk(ChatCompletionChunk):
    """A chunk of a stream that ends with its usage: until then it is null, as with OpenAI."""

    shown_as_null: ClassVar[frozenset[str]] = frozenset({"usage"})
