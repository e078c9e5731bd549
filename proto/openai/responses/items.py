"""Items of the Responses API: what was said, called and answered before."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Tag
from pydantic_core import to_json

from raylax.proto.openai import chat, fields
from raylax.proto.openai.body import BoundedList, StrictModel, kind_of
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.responses.tools import INPUT, full_name

LOCAL_SHELL = "local_shell"


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
        custom_error_message="only parts of type input_text, output_text and refusal are "
        "supported: the models here read text alone",
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
    namespace: str | None = None
    arguments: str

    def for_chat(self) -> chat.AssistantToolCall:
        return tool_call(self.call_id, full_name(self.name, self.namespace), self.arguments)


class CustomToolCall(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    namespace: str | None = None
    input: str

    def for_chat(self) -> chat.AssistantToolCall:
        """A call of the function that the tool has become."""
        arguments = to_json({INPUT: self.input}).decode()
        return tool_call(self.call_id, full_name(self.name, self.namespace), arguments)


class ShellAction(StrictModel):
    type: Literal["exec"]
    command: Annotated[list[str], BoundedList(chat.MOST_PARTS)]
    env: dict[str, str] | None = None
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCall(StrictModel):
    not_here: ClassVar[FieldTable] = fields.ITEM
    type: Literal["local_shell_call"]
    call_id: str
    action: ShellAction

    def for_chat(self) -> chat.AssistantToolCall:
        arguments = self.action.model_dump_json(exclude={"type"}, exclude_none=True)
        return tool_call(self.call_id, LOCAL_SHELL, arguments)


def tool_call(id: str, name: str, arguments: str) -> chat.AssistantToolCall:
    function = chat.FunctionCall(name=name, arguments=arguments)
    return chat.AssistantToolCall(id=id, function=function)


class FunctionCallOutput(StrictModel):
    not_here: ClassVar[FieldTable] = fields.OUTPUT
    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    output: Content

    def for_chat(self) -> chat.Message:
        return chat.Message(role="tool", tool_call_id=self.call_id, content=text_of(self.output))


class LocalShellCallOutput(StrictModel):
    not_here: ClassVar[FieldTable] = fields.SHELL_OUTPUT
    type: Literal["local_shell_call_output"]
    id: str
    """Of the call."""
    output: Content

    def for_chat(self) -> chat.Message:
        return chat.Message(role="tool", tool_call_id=self.id, content=text_of(self.output))


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


class ItemReference(StrictModel):
    """An item of a response that is kept."""

    type: Literal["item_reference"] = "item_reference"
    id: str


CallItem = FunctionCall | CustomToolCall | LocalShellCall
CallOutputItem = FunctionCallOutput | LocalShellCallOutput


def kind_of_item(item: Any) -> str | None:
    named_alone = isinstance(item, dict) and "role" not in item and "id" in item
    return kind_of(item, default="item_reference" if named_alone else "message")


Item = Annotated[
    Annotated[InputMessage, Tag("[message]")]
    | Annotated[FunctionCall, Tag("[function_call]")]
    | Annotated[FunctionCallOutput, Tag("[function_call_output]")]
    | Annotated[CustomToolCall, Tag("[custom_tool_call]")]
    | Annotated[FunctionCallOutput, Tag("[custom_tool_call_output]")]
    | Annotated[LocalShellCall, Tag("[local_shell_call]")]
    | Annotated[LocalShellCallOutput, Tag("[local_shell_call_output]")]
    | Annotated[ReasoningItem, Tag("[reasoning]")]
    | Annotated[ItemReference, Tag("[item_reference]")],
    Discriminator(
        kind_of_item,
        custom_error_type="item",
        custom_error_message="only items of type message, reasoning, item_reference, "
        "function_call, custom_tool_call and local_shell_call, and outputs of these calls, are "
        "supported",
    ),
]
