"""POST /v1/messages and /v1/messages/count_tokens. https://docs.claude.com/en/api/messages"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import to_json

from raylax.proto.anthropic import fields as tables
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai import chat
from raylax.proto.openai import tools as chat_tools
from raylax.proto.openai.body import BoundedList, StrictModel, kind_of
from raylax.proto.openai.field_rules import FieldTable, only
from raylax.proto.openai.prompting import Name, ThinkingFields
from raylax.proto.openai.shared import MOST_STOPS, CommonFields, Count, StopString
from raylax.proto.openai.skipped_tool import SkippedTool
from raylax.proto.openai.structure import of_schema


class Text(StrictModel):
    not_here: ClassVar[FieldTable] = tables.BLOCK
    type: Annotated[Literal["text"], only(tables.TEXT_ONLY, "text")] = "text"
    text: str


class ToolUse(StrictModel):
    not_here: ClassVar[FieldTable] = tables.BLOCK
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class ToolResult(StrictModel):
    not_here: ClassVar[FieldTable] = tables.BLOCK
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | Annotated[list[Text], BoundedList(chat.MOST_PARTS)] = ""


class ThinkingBlock(StrictModel):
    """What the assistant thought before, with the signature that an answer of ours had."""

    not_here: ClassVar[FieldTable] = tables.BLOCK
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinking(StrictModel):
    """What another server did not show: no template can be told of it."""

    not_here: ClassVar[FieldTable] = tables.BLOCK
    type: Literal["redacted_thinking"]
    data: str


Block = Annotated[
    Annotated[Text, Tag("[text]")]
    | Annotated[ThinkingBlock, Tag("[thinking]")]
    | Annotated[RedactedThinking, Tag("[redacted_thinking]")]
    | Annotated[ToolUse, Tag("[tool_use]")]
    | Annotated[ToolResult, Tag("[tool_result]")],
    Discriminator(
        kind_of,
        custom_error_type="block",
        custom_error_message="only blocks of type text, thinking, tool_use and tool_result are "
        f"supported: {tables.TEXT_ONLY}",
    ),
]


class InputMessage(StrictModel):
    role: Literal["user", "assistant", "system"]
    """system: in the midst of a conversation, as Claude Code has it."""
    content: str | Annotated[list[Block], BoundedList(chat.MOST_PARTS, least=1)]

    @property
    def blocks(self) -> list[Block]:
        return [Text(text=self.content)] if isinstance(self.content, str) else self.content

    @model_validator(mode="after")
    def _blocks_of_its_role(self) -> Self:
        of_assistant = (ToolUse, ThinkingBlock, RedactedThinking)
        other: tuple[type[Block], ...] = of_assistant if self.role == "user" else (ToolResult,)
        if self.role == "system":
            other = (*of_assistant, ToolResult)
        if found := next((block for block in self.blocks if isinstance(block, other)), None):
            raise ValueError(f"content: {found.type} is not for the role {self.role}")
        calls = sum(isinstance(block, ToolUse) for block in self.blocks)
        if calls > chat_tools.MOST_TOOLS:
            raise ValueError(f"content: may have {chat_tools.MOST_TOOLS} tool_use, it has {calls}")
        return self

    def for_chat(self) -> Iterator[chat.Message]:
        """The same as messages of OpenAI's API, where results of tools are messages of their own;
        what the user says comes after them."""
        for block in self.blocks:
            if isinstance(block, ToolResult):
                result = joined(block.content)
                yield chat.Message(role="tool", tool_call_id=block.tool_use_id, content=result)
        texts = [block for block in self.blocks if isinstance(block, Text)]
        thoughts = [block.thinking for block in self.blocks if isinstance(block, ThinkingBlock)]
        calls = [tool_call(block) for block in self.blocks if isinstance(block, ToolUse)]
        if texts or calls or thoughts:
            yield chat.Message(
                role=self.role,
                content=joined(texts),
                tool_calls=calls or None,
                reasoning_content="".join(thoughts) or None,
            )


def joined(content: str | list[Text]) -> str:
    return content if isinstance(content, str) else "".join(block.text for block in content)


def tool_call(block: ToolUse) -> chat.AssistantToolCall:
    function = chat.FunctionCall(name=block.name, arguments=to_json(block.input).decode())
    return chat.AssistantToolCall(id=block.id, function=function)


class Tool(StrictModel):
    """A function of the client's."""

    not_here: ClassVar[FieldTable] = tables.TOOL
    type: Literal["custom"] | None = None
    name: str
    description: str = ""
    input_schema: dict[str, Any]
    strict: bool = False

    def for_chat(self) -> chat_tools.Tool:
        said = self.model_dump(include={"name", "description", "strict"}, exclude_unset=True)
        function = chat_tools.Function(**said, parameters=self.input_schema)
        return chat_tools.Tool(type="function", function=function)


def kind_of_tool(tool: Any) -> str:
    """A tool without a type, or of type custom, is a function of the client's."""
    kind = kind_of(tool, default="custom")
    return "[skipped]" if kind not in (None, "[None]", "[custom]") else "[custom]"


AnyTool = Annotated[
    Annotated[Tool, Tag("[custom]")] | Annotated[SkippedTool, Tag("[skipped]")],
    Discriminator(kind_of_tool),
]


class ToolChoice(StrictModel):
    type: Literal["auto", "none", "any", "tool"]
    name: str | None = None
    """Of the tool that is to be used."""
    disable_parallel_tool_use: bool = False

    @model_validator(mode="after")
    def _names_a_tool(self) -> Self:
        if (self.type == "tool") != (self.name is not None):
            raise ValueError("name: must be there for type tool, and for no other")
        return self

    def for_chat(self) -> chat_tools.ToolChoice:
        """The same in OpenAI's words."""
        if self.name is not None:
            named = chat_tools.NamedFunction(name=self.name)
            return chat_tools.FunctionChoice(type="function", function=named)
        return "required" if self.type == "any" else "none" if self.type == "none" else "auto"


class JsonFormat(StrictModel):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")

    def constraint(self, field: str) -> Constraint:
        """What cannot be enforced is an error."""
        return of_schema(self.schema_, f"{field}.schema", lenient=False)


class OutputConfig(StrictModel):
    format: JsonFormat | None = None
    effort: Name | None = None
    """As `reasoning_effort`."""


class CountTokensRequest(CommonFields, ThinkingFields):
    """A conversation whose tokens are counted. Clients send sampling fields with it, too: they are
    checked, and mean nothing here."""

    not_here: ClassVar[FieldTable] = tables.COUNT
    messages: Annotated[list[InputMessage], BoundedList(chat.MOST_MESSAGES, least=1)]
    system: str | Annotated[list[Text], BoundedList(chat.MOST_PARTS)] | None = None
    tools: Annotated[list[AnyTool], BoundedList(chat_tools.MOST_TOOLS)] = []
    tool_choice: ToolChoice = ToolChoice(type="auto")
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    """Its older name."""

    def _constraints(self) -> Iterator[Constraint]:
        yield from self._forms()
        yield from super()._constraints()

    def _forms(self) -> Iterator[Constraint]:
        """What Anthropic's own fields say of the form."""
        if self.output_config is not None and self.output_config.format is not None:
            yield self.output_config.format.constraint("output_config.format")
        if self.output_format is not None:
            yield self.output_format.constraint("output_format")

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        offered = [tool.for_chat() for tool in self._functions]
        chat_tools.check_tools(offered, self.tool_choice.for_chat())
        return self

    @model_validator(mode="after")
    def _the_last_one_can_be_answered(self) -> Self:
        if self.continues and any(isinstance(one, ToolUse) for one in self.messages[-1].blocks):
            raise ValueError(
                "messages: the last one must be the user's, or a text of the assistant's, with "
                "which the answer goes on; it has tool_use"
            )
        return self

    @property
    def _functions(self) -> list[Tool]:
        """The tools that the model is told of."""
        return [tool for tool in self.tools if isinstance(tool, Tool)]

    @property
    def continues(self) -> bool:
        """Whether the answer goes on with what the assistant is told to have said."""
        return self.messages[-1].role == "assistant"

    def for_chat(self, **fields: Any) -> chat.ChatCompletionRequest:
        """The same request in OpenAI's API. Raises InvalidRequest when the results of tools make
        too many messages of it."""
        said = chain.from_iterable(message.for_chat() for message in self.messages)
        messages = list(islice(said, chat.MOST_MESSAGES + 1))
        if self.system is not None:
            messages.insert(0, chat.Message(role="system", content=joined(self.system)))
        if len(messages) > chat.MOST_MESSAGES:
            raise InvalidRequest(
                f"messages: may be {chat.MOST_MESSAGES}, with the system prompt and each "
                "tool_result counted as one, there are more",
                param="messages",
            )
        prompt = self.prompt_fields()
        if self.continues and self.add_generation_prompt is None:
            prompt["continue_final_message"] = True
        if prompt["reasoning_effort"] is None and self.output_config is not None:
            prompt["reasoning_effort"] = self.output_config.effort
        made = chat.ChatCompletionRequest(
            **self.common(),
            **prompt,
            **self.thinking_fields(),
            **fields,
            messages=messages,
            tools=[tool.for_chat() for tool in self._functions],
            tool_choice=self.tool_choice.for_chat(),
            parallel_tool_calls=not self.tool_choice.disable_parallel_tool_use,
        )
        return made.in_form(next(self._forms(), None))


class MessagesRequest(CountTokensRequest):
    """A body of /v1/messages."""

    not_here: ClassVar[FieldTable] = tables.MESSAGES
    max_tokens: Count
    stop_sequences: Annotated[list[StopString], BoundedList(MOST_STOPS)] = []

    def for_chat(self, **fields: Any) -> chat.ChatCompletionRequest:
        stop = self.stop_sequences
        return super().for_chat(**fields, max_tokens=self.max_tokens, stop=stop)
