"""Which tools of the Responses API are to be called."""

from typing import Annotated, Literal

from pydantic import Tag

from raylax.proto.openai import tools as chat_tools
from raylax.proto.openai.body import BoundedList, StrictModel


class FunctionChoice(StrictModel):
    """One function, which must be called."""

    type: Literal["function", "custom"]
    name: str

    def for_chat(self) -> chat_tools.FunctionChoice:
        """The same in terms of chat."""
        named = chat_tools.NamedFunction(name=self.name)
        return chat_tools.FunctionChoice(type="function", function=named)


class AllowedTools(StrictModel):
    """Some of the functions, of which one may be called, or must."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], BoundedList(chat_tools.MOST_TOOLS, least=1)]

    def for_chat(self) -> chat_tools.AllowedTools:
        """The same in terms of chat."""
        allowed = chat_tools.Allowed(mode=self.mode, tools=[one.for_chat() for one in self.tools])
        return chat_tools.AllowedTools(type="allowed_tools", allowed_tools=allowed)


ToolChoice = Annotated[
    chat_tools.Word
    | Annotated[FunctionChoice, Tag("[function]")]
    | Annotated[FunctionChoice, Tag("[custom]")]
    | Annotated[AllowedTools, Tag("[allowed_tools]")],
    chat_tools.BY_KIND,
]


def for_chat(choice: ToolChoice) -> chat_tools.ToolChoice:
    """The choice in terms of chat."""
    return choice if isinstance(choice, str) else choice.for_chat()
