"""POST /v1/responses. https://platform.openai.com/docs/api-reference/responses"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai import chat, fields
from raylax.proto.openai.body import BoundedList, StrictModel
from raylax.proto.openai.field_rules import FieldTable, only
from raylax.proto.openai.prompting import ThinkingFields
from raylax.proto.openai.responses.choice import ToolChoice
from raylax.proto.openai.responses.choice import for_chat as choice_for_chat
from raylax.proto.openai.responses.items import (
    CallItem,
    CallOutputItem,
    InputMessage,
    Item,
    ItemReference,
    ReasoningItem,
    text_of,
)
from raylax.proto.openai.responses.tools import ResponseTool, callable_ones
from raylax.proto.openai.shared import CommonFields, Count
from raylax.proto.openai.structure import TextConfigFormat
from raylax.proto.openai.tools import MOST_TOOLS, Tool, check_tools

MOST_ITEMS = chat.MOST_MESSAGES - 1  # the instructions are a message, too
MetadataKey = Annotated[str, Field(max_length=64)]
Included = Literal[
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content",
]  # fmt: skip
"""More of what is never there: tools that run here, images, what is encrypted."""
MetadataValue = Annotated[str, Field(max_length=512)]


class TextConfig(StrictModel):
    not_here: ClassVar[FieldTable] = fields.TEXT_CONFIG
    format: TextConfigFormat | None = None


class ResponsesRequest(CommonFields, ThinkingFields):
    """A body of /v1/responses. What was said before is in `input`, or kept."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES
    input: str | Annotated[list[Item], BoundedList(MOST_ITEMS, least=1)]
    previous_response_id: str | None = None
    """The response that this one goes on from."""
    store: bool = True
    """Whether the response is kept for a while."""
    instructions: str | None = None
    """For this response alone."""
    max_output_tokens: Count | None = None
    tools: Annotated[list[ResponseTool], BoundedList(MOST_TOOLS)] = []
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] = {}
    text: TextConfig | None = None
    truncation: Annotated[Literal["disabled"], only(fields.NOT_CUT, "disabled")] = "disabled"
    include: list[Annotated[Included, only(fields.NOT_INCLUDED, *get_args(Included))]] = []

    @model_validator(mode="after")
    def _check_tools(self) -> Self:
        """With those in namespaces."""
        if (functions := sum(1 for _ in callable_ones(self.tools))) > MOST_TOOLS:
            raise ValueError(
                f"tools: may have {MOST_TOOLS} functions in all, there are {functions}"
            )
        check_tools(self._chat_tools, choice_for_chat(self.tool_choice))
        return self

    @property
    def items(self) -> list[Item]:
        """The input; a text is a message of the user's."""
        if isinstance(self.input, str):
            return [InputMessage(role="user", content=self.input)]
        return self.input

    @property
    def _chat_tools(self) -> list[Tool]:
        return [one.tool.for_chat(one.path, one.namespace) for one in callable_ones(self.tools)]

    def _constraints(self) -> Iterator[Constraint]:
        yield from self._forms()
        yield from super()._constraints()

    def _forms(self) -> Iterator[Constraint]:
        """What `text` says of the form."""
        if self.text is not None and self.text.format is not None:
            found = self.text.format.constraint("text.format")
            yield from () if found is None else (found,)

    def for_chat(self) -> chat.ChatCompletionRequest:
        made = chat.ChatCompletionRequest(
            **self.common(),
            **self.prompt_fields(),
            **self.thinking_fields(),
            messages=list(self._messages()),
            max_tokens=self.max_output_tokens,
            tools=self._chat_tools,
            tool_choice=choice_for_chat(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls,
        )
        return made.in_form(next(self._forms(), None))

    def _messages(self) -> Iterator[chat.Message]:
        if self.instructions is not None:
            yield chat.Message(role="system", content=self.instructions)
        said: chat.Message | None = None  # by the assistant: its calls belong to it
        thought: str | None = None  # before it speaks, or calls
        for item in self.items:
            assert not isinstance(item, ItemReference), "what it stands for is not put in yet"
            if isinstance(item, CallItem):
                if said is None:
                    said, thought = assistant("", thought), None
                said.tool_calls = [*(said.tool_calls or []), item.for_chat()]
                continue
            if said is not None:
                yield said
            said = None
            if isinstance(item, ReasoningItem):
                thought = (thought or "") + item.text
            elif isinstance(item, CallOutputItem):
                yield item.for_chat()
            elif item.role == "assistant":
                said, thought = assistant(text_of(item.content), thought), None
            else:
                yield chat.Message(role=item.role, content=text_of(item.content))
        if said is not None:
            yield said


def assistant(content: str, thought: str | None) -> chat.Message:
    return chat.Message(role="assistant", content=content, reasoning_content=thought or None)
