"""The tables of docs/configuration.md: of the schema, the engine's settings and the commands.

`scripts/reference` writes them anew; a test holds the page to them.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raylax.cluster.cli.flags import PANELS
from raylax.cluster.config.models import ENGINE_DEFAULTS, ModelSettings
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.config.sections import (
    Autoscaling,
    KeyEntry,
    Limits,
    ScheduledLeast,
)
from raylax.cluster.models.families import COLUMNS as FAMILY_COLUMNS
from raylax.cluster.models.families import rows
from raylax.worker.config import ABSENT, EngineConfig
from tests.support.cluster_options import COMMANDS, command_named
from tests.support.engine_fields import SHOWN_BY
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "configuration.md"
MODELS = ROOT / "docs" / "models.md"
BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
OF_NO_USE = {"kv_cache_page_size", "verbose"}
"""Fields of the engine that have one value, or are of no use to a cluster."""
COLUMNS = "key,value,default,what it is"
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def table(columns: str, rows: Iterable[Iterable[str]]) -> str:
    """Markdown. Columns with commas between."""
    names = columns.split(",")
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(text: object) -> str:
    """In the type of code, unless it is nothing."""
    return f"`{text}`" if text not in ("", None) else ""


def kind(annotation: Any) -> str:
    """What a value is, as people write it."""
    if get_origin(annotation) is Literal:
        return ", ".join(code(choice) for choice in get_args(annotation))
    if arguments := [one for one in get_args(annotation) if one is not NoneType]:
        if get_origin(annotation) in (tuple, dict):
            return "a list" if get_origin(annotation) is tuple else "keys and values"
        words = any(get_origin(one) is Literal for one in arguments)  # beside a number
        return ", ".join(map(kind, arguments if words else arguments[:1]))
    if issubclass(annotation, BaseModel):
        return "keys and values"
    return {bool: "true or false", int: "integer", float: "number", Path: "path"}.get(
        annotation, "text"
    )


def bounds(field: FieldInfo) -> str:
    """What a value is, and what it must not go beyond."""
    said = [
        f"{word} {getattr(one, name)}"
        for one in field.metadata
        for name, word in BOUNDS.items()
        if hasattr(one, name)
    ]
    return ", ".join([kind(field.annotation), *said])


def default(value: object) -> str:
    """A default as a file has it; nothing where there is none, or it follows from the rest."""
    match value:
        case bool():
            return code(str(value).lower())
        case float():
            return code(f"{value:g}")
        case str() | int() | Path():
            return code(value)
    return ""


def keys_of(section: type[BaseModel], names: Iterable[str]) -> str:
    """A table of these keys of a section."""

    def rows() -> Iterator[list[str]]:
        for name in names:
            field = section.model_fields[name]
            what = " ".join((field.description or "").split())
            yield [code(name), bounds(field), default(field.default), what]

    return table(COLUMNS, rows())


def top_of(names: Iterable[str]) -> str:
    """Keys at the top of the file. Those that a flag can set, too, have one by the same name."""
    return keys_of(ClusterConfig, names)


def engine() -> str:
    """The engine's settings, but for those at the top and those that have one value today."""
    said = docstrings_of(EngineConfig)
    values = {**asdict(EngineConfig()), **ENGINE_DEFAULTS}
    hidden = {*ABSENT, *OF_NO_USE, *ClusterConfig.model_fields}
    kinds = get_type_hints(EngineConfig)
    rows = (
        [code(name), kind(kinds[name]), default(value), said[name]]
        for name, value in values.items()
        if name not in hidden
    )
    return table(COLUMNS, rows)


def engine_fields() -> str:
    """Every field of EngineConfig, with the test that shows what it does."""
    said, kinds = docstrings_of(EngineConfig), get_type_hints(EngineConfig)
    rows = (
        [code(name), kind(kinds[name]), default(value), said[name], f"[{test}](../tests/{file})"]
        for name, value in asdict(EngineConfig()).items()
        for file, test in [SHOWN_BY[name]]
    )
    return table("field,value,default,what it is,shown by", rows)


def docstrings_of(described: type) -> dict[str, str]:
    """The docstring below each field of a class."""
    (body,) = ast.parse(inspect.getsource(described)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                found[name] = " ".join(text.split())
    return found


def commands() -> str:
    """Every command, with the options that are its own: those that set keys stand with the keys."""
    return "\n".join(command(name) for name in COMMANDS)


def command(name: str) -> str:
    """How it is typed, what it does and its options."""
    made = command_named(name)
    text = re.sub(r"\[/?\w*\]", "", inspect.cleandoc(made.help)).split("\n\n")[0]
    words = [typed(p) for p in made.params if p.param_type_name == "argument"]
    own = [p for p in made.params if getattr(p, "rich_help_panel", None) not in PANELS]
    settings = [code(p.opts[0]) for p in made.params if p not in own]
    rows = ([code(typed(p)), "" if p.default is False else default(p.default), p.help] for p in own)
    parts = [
        f"**`{' '.join(['raylax', name, *words])}`** {' '.join(text.split())}\n",
        table("option,default,what it is", rows) if own else "",
        f"Settings that it takes as flags: {', '.join(settings)}.\n" if settings else "",
    ]
    return "\n".join(filter(None, parts))


def typed(parameter: Any) -> str:
    """A parameter as in a usage: MODEL, [URL], --config."""
    if parameter.param_type_name == "option":
        return " ".join(parameter.opts)
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "model": lambda: top_of(ModelSettings.model_fields),
    "cluster": lambda: top_of(
        n for n in ClusterConfig.model_fields if n not in ModelSettings.model_fields
    ),
    "keys": lambda: keys_of(KeyEntry, KeyEntry.model_fields),
    "limits": lambda: keys_of(Limits, Limits.model_fields),
    "autoscaling": lambda: keys_of(Autoscaling, Autoscaling.model_fields),
    "schedule": lambda: keys_of(ScheduledLeast, ScheduledLeast.model_fields),
    "engine": engine,
    "fields": engine_fields,
}


def regenerated(page: str) -> str:
    """The page with its tables as they must be; what people wrote around them stays."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


def models_page(page: str) -> str:
    """The same of docs/models.md."""
    named = ",".join(FAMILY_COLUMNS)
    written = [[cells[0], code(cells[1]), *cells[2:4], *map(code, cells[4:])] for cells in rows()]
    return BLOCK.sub(lambda found: f"{found[1]}{table(named, written)}{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text()))
    MODELS.write_text(models_page(MODELS.read_text()))
