"""Makes calls of the JSON in which models write them."""

import json
import math
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any

from raylax.proto.characters import whole_characters
from raylax.proto.parsers.base import ToolCall

DEEPEST = 64
"""How deep arguments may be nested: JSON's writers have limits of their own."""


class CallIds:
    """Ids of the calls of one choice: they follow from its name, so that a replay gives the same.
    OpenAI allows 40 characters; some templates want exactly nine letters and digits."""

    def __init__(self, name: str, nine: bool = False) -> None:
        self._name, self._nine = name, nine

    def __call__(self, index: int) -> str:
        digest = sha256(f"{self._name}_{index}".encode()).hexdigest()
        return digest[:9] if self._nine else f"call_{digest[:24]}"


class JsonCalls:
    """The `CallMaker` of JSON objects with a `name` and `arguments`, or `parameters`."""

    def __init__(self, ids: Callable[[int], str], names: Collection[str] | None = None) -> None:
        """`names`: of the functions that were offered; None: any."""
        self._ids, self._names, self._count = ids, names, 0

    def of(self, text: str) -> ToolCall | None:
        """The call in this JSON; None if it is none, or one of a function that nobody offered."""
        try:
            value = strict_json(text)
            name = value["name"]
            given = value.get("arguments", value.get("parameters"))
            if isinstance(given, str):
                given = strict_json(given) if given.strip() else None
            arguments = {} if given is None else given
            if not isinstance(name, str) or not isinstance(arguments, dict):
                return None
            if not is_within(arguments, DEEPEST):
                return None
            written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        name = whole_characters(name)
        if self._names is not None and name not in self._names:
            return None
        call = ToolCall(self._ids(self._count), self._count, name, whole_characters(written))
        self._count += 1
        return call


def strict_json(text: str) -> Any:
    """The value of JSON, in whose strings line breaks may stand as they are. Raises ValueError,
    also for NaN and numbers beyond all floats."""
    return json.loads(text, strict=False, parse_constant=no_number, parse_float=finite)


def no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else no_number(text)


def is_within(value: Any, depth: int) -> bool:
    """Whether it is nested no deeper than that."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(is_within(one, depth - 1) for one in inner)
