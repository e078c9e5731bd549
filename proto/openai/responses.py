"""POST /v1/responses. https://platform.openai.com/docs/api-reference/responses"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai import chat, fields
from raylax.proto.openai.body import BoundedList, StrictModel, kind_of
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.prompting import PromptFields, ThinkingFields
from raylax.proto.openai.shared import CommonFields, Count, ToolChoice
from raylax.proto.openai.structure import TextConfigFormat

MOST_ITEMS = chat.MOST_MESSAGES - 1  # the instructions are a message, too
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class Text(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["input_text", "output_text"]
    text: str


class Refusal(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


Part = Annotated[
    Annotated[Text, Tag("[input_text]")]
    | Annotated[Text, Tag("[output_text]")]
    | Annotated[Refusal, Tag("[refusal]")],
    Discriminator(
        kind_of,
        custom_error_type="part",
        custom_error_message="only parts of type input_text, output_text and refusal are supported",
    ),
]
Content = str | Annotated[list[Part], BoundedList(chat.MOST_PARTS)]


def text_of(content: Content) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


class InputMessage(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content


class FunctionCall(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(StrictModel):
    not_here: ClassVar[FieldTable] = fields.OUTPUT
    type: Literal["function_call_output"]
    call_id: str
    output: Content


class ReasoningText(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(StrictModel):
    """What the assistant thought before: its text, or else the summary of it."""

    not_here: ClassVar[FieldTable] = fields.REASONING_ITEM
    type: Literal["reasoning"]
    content: Annotated[list[ReasoningText], BoundedList(chat.MOST_PARTS)] | None = None
    summary: Annotated[list[ReasoningText], BoundedList(chat.MOST_PARTS)] | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content or self.summary or ())


def kind_of_item(item: Any) -> str | None:
    return kind_of(item, default="message")


Item = Annotated[
    Annotated[InputMessage, Tag("[message]")]
    | Annotated[FunctionCall, Tag("[function_call]")]
    | Annotated[FunctionCallOutput, Tag("[function_call_output]")]
    | Annotated[ReasoningItem, Tag("[reasoning]")],
    Discriminator(
        kind_of_item,
        custom_error_type="item",
        custom_error_message="only items of type message, reasoning, function_call and "
        "function_call_output are supported",
    ),
]


def no_grammar(strict: bool | None) -> bool | None:
    if strict:
        raise ValueError(f"true {fields.GRAMMAR}")
    return strict


class FunctionTool(StrictModel):
    """A function of the client's. OpenAI's own tools would have to be run here."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES_FUNCTION
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: Annotated[bool | None, AfterValidator(no_grammar)] = None

    def for_chat(self) -> chat.Tool:
        function = chat.Function(
            **self.model_dump(include={"name", "description", "parameters"}, exclude_none=True)
        )
        return chat.Tool(type="function", function=function)


class TextConfig(StrictModel):
    format: TextConfigFormat | None = None


class Reasoning(StrictModel):
    """How much the model is to think."""

    not_here: ClassVar[FieldTable] = fields.REASONING
    effort: Annotated[str, Field(max_length=64)] | None = None


class ResponsesRequest(CommonFields, PromptFields, ThinkingFields):
    """A body of /v1/responses. Whoever asks sends the whole conversation: nothing is kept."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES
    input: str | Annotated[list[Item], BoundedList(MOST_ITEMS, least=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    tools: Annotated[list[FunctionTool], BoundedList(chat.MOST_TOOLS)] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = {}
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["disabled"] = "disabled"

    @property
    def effort(self) -> str | None:
        """How much the model is to think, by either of the fields that say so."""
        if self.reasoning_effort is None and self.reasoning is not None:
            return self.reasoning.effort
        return self.reasoning_effort

    def _constraints(self) -> Iterator[Constraint]:
        yield from self._forms()
        yield from super()._constraints()

    def _forms(self) -> Iterator[Constraint]:
        """What `text` says of the form."""
        if self.text is not None and self.text.format is not None:
            found = self.text.format.constraint("text.format")
            yield from () if found is None else (found,)

    def for_chat(self) -> chat.ChatCompletionRequest:
        prompt = {**self.prompt_fields(), "reasoning_effort": self.effort}
        made = chat.ChatCompletionRequest(
            **self.common(),
            **prompt,
            **self.thinking_fields(),
            messages=list(self._messages()),
            max_tokens=self.max_output_tokens,
            tools=[tool.for_chat() for tool in self.tools],
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
        )
        return made.in_form(next(self._forms(), None))

    def _messages(self) -> Iterator[chat.Message]:
        if self.instructions is not None:
            yield chat.Message(role="system", content=self.instructions)
        if isinstance(self.input, str):
            yield chat.Message(role="user", content=self.input)
            return
        said: chat.Message | None = None  # by the assistant: its calls belong to it
        thought: str | None = None  # before it speaks, or calls
        for item in self.input:
            if isinstance(item, FunctionCall):
                if said is None:
                    said, thought = assistant("", thought), None
                said.tool_calls = [*(said.tool_calls or []), tool_call(item)]
                continue
            if said is not None:
                yield said
            said = None
            if isinstance(item, ReasoningItem):
                thought = (thought or "") + item.text
            elif isinstance(item, FunctionCallOutput):
                output = text_of(item.output)
                yield chat.Message(role="tool", tool_call_id=item.call_id, content=output)
            elif item.role == "assistant":
                said, thought = assistant(text_of(item.content), thought), None
            else:
                yield chat.Message(role=item.role, content=text_of(item.content))
        if said is not None:
            yield said


def assistant(content: str, thought: str | None) -> chat.Message:
    return chat.Message(role="assistant", content=content, reasoning_content=thought or None)


def tool_call(item: FunctionCall) -> chat.AssistantToolCall:
    function = chat.FunctionCall(name=item.name, arguments=item.arguments)
    return chat.AssistantToolCall(id=item.call_id, function=function)
