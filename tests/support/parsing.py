"""Parsers of generated text, fed in pieces; and calls as a format has them written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raylax.proto.parsers.base import Content, OutputParser, Said, ToolCall, joined, whole
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import CallIds, OfferedTools

Schemas = Mapping[str, Mapping[str, Any]]


def offered(names: Iterable[str] = ("f", "get_weather"), **schemas: Any) -> OfferedTools:
    """Functions by their names, of whose arguments nothing is known but what `schemas` says."""
    return OfferedTools(CallIds("c"), {**dict.fromkeys(names, {}), **schemas})


def read(parser: OutputParser, text: str, cuts: int | Sequence[int]) -> tuple[Content, ...]:
    """What is found in a text that comes in pieces: of one size, or cut at these places."""
    if isinstance(cuts, int):
        cuts = range(cuts, len(text), cuts)
    ends = [0, *sorted(cuts), len(text)]
    parts = [parser.add(text[a:b]) for a, b in zip(ends, ends[1:], strict=False)]
    return joined(one for part in [*parts, parser.finish()] for one in part)


def said(parser: OutputParser, text: str, cuts: int | Sequence[int] = 1000) -> tuple[Said, ...]:
    """The same, whole."""
    return whole(read(parser, text, cuts))


def text_in(found: Iterable[Said]) -> str:
    return "".join(one for one in found if isinstance(one, str))


def calls_in(found: Iterable[Said]) -> list[tuple[str, str]]:
    """Name and arguments of each call."""
    return [(one.name, one.arguments) for one in found if isinstance(one, ToolCall)]


def written(format: CallFormat, calls: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Calls as the format has them."""
    each = (
        f"{format.before_name}{name}{format.after_name}{arguments_in(format, arguments)}"
        f"{format.after_arguments}"
        for name, arguments in calls
    )
    return format.first + format.between.join(each) + format.last


def arguments_in(format: CallFormat, arguments: dict[str, Any]) -> str:
    match format.arguments:
        case "json":
            return json.dumps(arguments, ensure_ascii=False)
        case "python":
            return ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        case "pairs":
            assert (pairs := format.pairs) is not None
            return "".join(
                f"{pairs.before_key}{key}{pairs.after_key}"
                f"{value if isinstance(value, str) else json.dumps(value)}{pairs.after_value}"
                for key, value in arguments.items()
            )
