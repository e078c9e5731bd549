"""Flags of a command, made from the settings that they set: name, type, default and help."""

from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from raylax.cluster.config.models import ModelSettings
from raylax.cluster.config.schema import ClusterConfig

Json = Annotated[bool, typer.Option("--json", help="Everything, for programs.")]
Command = Callable[..., None]
TYPED = (str, int, float, bool, Path)
"""What can be typed on a command line."""
PANELS = OF_THE_MODEL, OF_THE_CLUSTER = "The model", "The cluster"
"""Parts of a command's help."""


def settings() -> tuple[str, ...]:
    """All that flags can set: the rest is sections and lists, which only a file can."""
    return tuple(n for n, field in ClusterConfig.model_fields.items() if kind_of(field.annotation))


def with_flags(*names: str, argument: str | None = None) -> Callable[[Command], Command]:
    """A command of `**flags` hears of these settings; None: not given, and left to the file. One of
    them may be an argument instead."""

    def wrap(command: Command) -> Command:
        given = signature(command)
        own = [p for p in given.parameters.values() if p.kind != Parameter.VAR_KEYWORD]
        made = [
            *(flag(name, argument == name) for name in names),
            *(parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own),
        ]
        command.__signature__ = given.replace(parameters=made)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
        return command

    return wrap


def flag(name: str, is_argument: bool) -> Parameter:
    """A parameter as Typer reads it. The help says the default; Typer's own is always None."""
    field = ClusterConfig.model_fields[name]
    kind, text = kind_of(field.annotation), help_of(field)
    made: Any
    if is_argument:
        made = typer.Argument(None, help=text, show_default=False)
    else:
        panel = OF_THE_MODEL if name in ModelSettings.model_fields else OF_THE_CLUSTER
        made = typer.Option(None, f"--{name.replace('_', '-')}", help=text, rich_help_panel=panel)
    return Parameter(name, Parameter.KEYWORD_ONLY, default=made, annotation=kind | None)


def help_of(field: FieldInfo) -> str:
    """Its description, and the default if that is a value that could be typed."""
    text = " ".join((field.description or "").split())
    if field.default is None or field.default is False:
        return text
    return f"{text.removesuffix('.')} ({field.default})."


def kind_of(annotation: Any) -> Any:
    """The type of what is typed for a setting: of `int | None` int, of choices a word. None for
    what cannot be typed."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return str
    return annotation if annotation in TYPED else None
