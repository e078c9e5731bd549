"""Tools that a body offers, and which of them are to be called."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Discriminator, Field, Tag

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai.body import BoundedList, StrictModel, kind_of

MOST_TOOLS = 128
WORDS = ("auto", "none", "required")


class Function(StrictModel):
    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False
    """Arguments are what `parameters` says, always; a keyword that cannot be enforced is an
    error."""
    _input: Constraint | None = None

    @property
    def input(self) -> Constraint | None:
        """The form of the text that is its only argument, if another API has said one."""
        return self._input

    def taking(self, input: Constraint | None) -> Self:
        """The same, with an input of this form."""
        self._input = input
        return self


class Tool(StrictModel):
    type: Literal["function"]
    function: Function

    def for_template(self) -> dict[str, Any]:
        """The tool as chat templates expect it: with what the client said of it, and parameters,
        which are none where it said nothing."""
        shown = self.function.model_dump(
            include={"name", "description", "parameters"}, exclude_unset=True, exclude_none=True
        )
        shown.setdefault("parameters", {"type": "object", "properties": {}})
        return {"type": self.type, "function": shown}


class NamedFunction(StrictModel):
    name: str


class FunctionChoice(StrictModel):
    """One function, which must be called."""

    type: Literal["function"]
    function: NamedFunction


class Allowed(StrictModel):
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], BoundedList(MOST_TOOLS, least=1)]


class AllowedTools(StrictModel):
    """Some of the functions, of which one may be called, or must."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed


def kind_of_choice(given: Any) -> str | None:
    """The branch of a choice. Only that one is tried: others would warn of its fields."""
    return "[word]" if given in WORDS else kind_of(given)


Word = Annotated[Literal["auto", "none", "required"], Tag("[word]")]
BY_KIND = Discriminator(
    kind_of_choice,
    custom_error_type="choice",
    custom_error_message=f"must be {', '.join(WORDS)}, a function, or allowed_tools",
)
ToolChoice = Annotated[
    Word
    | Annotated[FunctionChoice, Tag("[function]")]
    | Annotated[AllowedTools, Tag("[allowed_tools]")],
    BY_KIND,
]


class Choosing(NamedTuple):
    """Which functions an answer may call."""

    names: tuple[str, ...] | None
    """None: all that are offered."""
    must: bool
    """It has to call one."""


def choosing(choice: ToolChoice) -> Choosing:
    """What a choice comes to."""
    match choice:
        case "none":
            return Choosing((), False)
        case FunctionChoice():
            return Choosing((choice.function.name,), True)
        case AllowedTools():
            names = tuple(one.function.name for one in choice.allowed_tools.tools)
            return Choosing(names, choice.allowed_tools.mode == "required")
    return Choosing(None, choice == "required")


def check_tools(tools: Sequence[Tool], choice: ToolChoice) -> None:
    """Raises ValueError for tools of one name, and for a choice of what is not offered."""
    names = list[str]()
    for at, tool in enumerate(tools):
        if (name := tool.function.name) in names:
            raise ValueError(f"tools: {at} has the name of another one, {name!r:.80}")
        names.append(name)
    chosen = choosing(choice)
    if chosen.must and not names:
        raise ValueError("tool_choice: a call needs tools, and there are none")
    for name in chosen.names or ():
        if name not in names:
            offered = ", ".join([*names[:8], *(["…"] if len(names) > 8 else [])])
            raise ValueError(f"tool_choice: {name!r:.80} is none of the tools: {offered}")
