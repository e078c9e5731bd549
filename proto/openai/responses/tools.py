"""Tools of the Responses API: a model is shown functions, whatever else there is becomes one or is
left out."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Discriminator, Field, Tag
from pydantic_core import to_json

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.openai import fields
from raylax.proto.openai.body import BoundedList, StrictModel
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.skipped_tool import SkippedTool
from raylax.proto.openai.tools import MOST_TOOLS, Function, Tool

INPUT = "input"
"""The parameter of the function that a custom tool becomes."""


class CalledTool(NamedTuple):
    """What a function that the model calls is to the client."""

    kind: Literal["function", "custom"]
    name: str
    namespace: str | None = None


def full_name(name: str, namespace: str | None) -> str:
    """The name by which a model calls a tool that stands in a namespace, or in none."""
    return name if namespace is None else f"{namespace}__{name}"


class FunctionTool(StrictModel):
    """A function of the client's."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES_FUNCTION
    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def for_chat(self, path: str, namespace: str | None = None) -> Tool:
        said = self.model_dump(include={"description", "parameters", "strict"}, exclude_none=True)
        return function(full_name(self.name, namespace), **said)


class AnyTextFormat(StrictModel):
    type: Literal["text"]


class GrammarFormat(StrictModel):
    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: Annotated[str, Field(min_length=1)]

    def constraint(self, field: str) -> Constraint:
        """Of the text, whose form this field says."""
        return Constraint("regex" if self.syntax == "regex" else "grammar", self.definition, field)


InputFormat = Annotated[AnyTextFormat | GrammarFormat, Field(discriminator="type")]


class CustomTool(StrictModel):
    """A function of the client's that takes a text."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES_CUSTOM
    type: Literal["custom"]
    name: str
    description: str | None = None
    format: InputFormat | None = None
    """What the text must be: the model is told so, and held to it."""

    def for_chat(self, path: str, namespace: str | None = None) -> Tool:
        told, form = [self.description or ""], None
        if isinstance(self.format, GrammarFormat):
            told.append(f"Its {INPUT} has this form: {to_json(self.format).decode()}")
            form = self.format.constraint(f"{path}.format.definition")
        schema = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}
        said = {"description": "\n\n".join(filter(None, told)), "parameters": schema}
        made = function(full_name(self.name, namespace), **said)
        made.function.taking(form)
        return made


def function(name: str, **said: Any) -> Tool:
    return Tool(type="function", function=Function(name=name, **said))


def of_types(*known: str) -> Any:
    """Tells tools of these types from those that are left out."""

    def kind(tool: Any) -> str | None:
        given = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
        if not isinstance(given, str):
            return None
        return f"[{given}]" if given in known else "[skipped]"

    return Discriminator(
        kind, custom_error_type="tool", custom_error_message="a tool must be an object with a type"
    )


InNamespace = Annotated[
    Annotated[FunctionTool, Tag("[function]")]
    | Annotated[CustomTool, Tag("[custom]")]
    | Annotated[SkippedTool, Tag("[skipped]")],
    of_types("function", "custom"),
]


class NamespaceTool(StrictModel):
    """Several functions that belong together. The model sees each by its `full_name`."""

    type: Literal["namespace"]
    name: str
    description: str | None = None
    tools: Annotated[list[InNamespace], BoundedList(MOST_TOOLS)]


ResponseTool = Annotated[
    Annotated[FunctionTool, Tag("[function]")]
    | Annotated[CustomTool, Tag("[custom]")]
    | Annotated[NamespaceTool, Tag("[namespace]")]
    | Annotated[SkippedTool, Tag("[skipped]")],
    of_types("function", "custom", "namespace"),
]
Callable = FunctionTool | CustomTool


class Offered(NamedTuple):
    """A tool that the model is told of."""

    tool: Callable
    path: str
    """Where it is in the body."""
    namespace: str | None = None


def callable_ones(tools: list[ResponseTool]) -> Iterator[Offered]:
    """Those that the model is told of."""
    for at, tool in enumerate(tools):
        path = f"tools.{at}"
        if isinstance(tool, NamespaceTool):
            for inner, one in enumerate(tool.tools):
                if isinstance(one, Callable):
                    yield Offered(one, f"{path}.tools.{inner}", tool.name)
        elif isinstance(tool, Callable):
            yield Offered(tool, path)


def called(tools: list[ResponseTool], name: str) -> CalledTool:
    """What the function is that the model calls by this name."""
    for tool, _, namespace in callable_ones(tools):
        if full_name(tool.name, namespace) == name:
            return CalledTool(tool.type, tool.name, namespace)
    return CalledTool("function", name)
