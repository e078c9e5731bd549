"""Tools of the Responses API: a model is shown functions, whatever else there is becomes one or is
left out."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Discriminator, Tag
from pydantic_core import to_json

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

    def for_chat(self, namespace: str | None = None) -> Tool:
        said = self.model_dump(include={"description", "parameters", "strict"}, exclude_none=True)
        return function(full_name(self.name, namespace), **said)


class CustomTool(StrictModel):
    """A function of the client's that takes a text."""

    not_here: ClassVar[FieldTable] = fields.RESPONSES_CUSTOM
    type: Literal["custom"]
    name: str
    description: str | None = None
    format: dict[str, Any] | None = None
    """What the text must be: the model is told so, and nothing enforces it."""

    def for_chat(self, namespace: str | None = None) -> Tool:
        told = [self.description or ""]
        if self.format is not None and self.format.get("type") != "text":
            told.append(f"Its {INPUT} has this form: {to_json(self.format).decode()}")
        schema = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}
        description = "\n\n".join(filter(None, told))
        return function(full_name(self.name, namespace), description=description, parameters=schema)


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


def callable_ones(tools: list[ResponseTool]) -> Iterator[tuple[Callable, str | None]]:
    """Those that the model is told of, each with its namespace."""
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            yield from ((one, tool.name) for one in tool.tools if isinstance(one, Callable))
        elif isinstance(tool, Callable):
            yield tool, None


def called(tools: list[ResponseTool], name: str) -> CalledTool:
    """What the function is that the model calls by this name."""
    for tool, namespace in callable_ones(tools):
        if full_name(tool.name, namespace) == name:
            return CalledTool(tool.type, tool.name, namespace)
    return CalledTool("function", name)
