"""Arguments as Python's keyword arguments, whose values are literals of Python."""

import json
from collections.abc import Mapping
from typing import Any

from raylax.proto.grammar.arguments.held import (
    OF_OBJECTS,
    alternatives_of,
    check_object,
    only,
    properties_of,
    values_of,
)
from raylax.proto.grammar.rules import Rules, json_of, literal
from raylax.proto.grammar.schema import Unenforceable
from raylax.proto.parsers.tools.offered import is_name
from raylax.proto.schemas.resolved import Resolved

OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
OF_KIND: dict[Any, tuple[str, ...]] = {
    "integer": OF_NUMBERS, "number": OF_NUMBERS, "array": ("items", "minItems", "maxItems"),
    "object": OF_OBJECTS,
}  # fmt: skip
"""Keywords that values are held to, by their type."""
TEXT = r'/"([^"\\\x00-\x1f]|\\["\\nrt])*"/'
DEEPEST = 8
"""Values in values, but for what is referred to."""


class PythonValues:
    """Of one function."""

    def __init__(self, rules: Rules, schema: Resolved, strict: bool) -> None:
        self._rules, self._schema, self._strict = rules, schema, strict
        self._made = dict[int, str]()
        """Rules of what was referred to, which may refer to itself."""

    def rule(self) -> str:
        """The name of the rule of them all: those that must be given, then any of the others, in
        order. Raises Unenforceable."""
        root = self._schema.followed(self._schema.root)
        check_object("parameters", root, self._strict)
        given = {
            name: (f"{literal(name + '=')} {self._value(name, inner)}", required)
            for name, inner, required in properties_of(root, self._strict, is_name)
        }
        must = ' ", " '.join(one for one, required in given.values() if required)
        others = [one for one, required in given.values() if not required]
        if must:
            body = " ".join([must, *(f'(", " {one})?' for one in others)])
            return self._rules.add("arguments", body)
        # without a first one that is certain, the commas depend on which there are
        ways = [
            " ".join([first, *(f'(", " {one})?' for one in others[at + 1 :])])
            for at, first in enumerate(others)
        ]
        return self._rules.add("arguments", " | ".join([*ways, '""']))

    def _value(self, name: str, schema: Any, depth: int = 0) -> str:
        """The name of the rule of a value."""
        followed = self._schema.followed(schema)
        if followed is schema:
            return self._rules.add("value", self._ways(name, schema, depth))
        if (known := self._made.get(id(followed))) is None:
            known = self._made[id(followed)] = self._rules.name("value")
            self._rules.define(known, self._ways(name, followed, 0))
        return known

    def _ways(self, name: str, schema: Any, depth: int) -> str:
        """A literal of Python."""
        strict = self._strict
        if strict and depth > DEEPEST:
            raise Unenforceable(f"{name}: this model's calls nest values {DEEPEST} deep")
        if not isinstance(schema, Mapping) or depth > DEEPEST:
            only(name, schema, (), strict)
            return self._any()
        if (values := values_of(schema)) is not None:
            only(name, schema, ("type", "const" if "const" in schema else "enum"), strict)
            return " | ".join(literal(python_of(one)) for one in values)
        if alternatives := alternatives_of(schema):
            if len(alternatives) > 1:
                only(name, schema, ("anyOf",), strict)
            return " | ".join(self._value(name, one, depth + 1) for one in alternatives)
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        known = ["type", *(one for kind in kinds for one in OF_KIND.get(kind, ()))]
        only(name, schema, known, strict)
        return " | ".join(self._kind(name, kind, schema, depth) for kind in kinds)

    def _kind(self, name: str, kind: Any, schema: Mapping[str, Any], depth: int) -> str:
        match kind:
            case "string":
                return TEXT
            case "integer" | "number":
                return json_of({**schema, "type": kind}, not self._strict)
            case "boolean":
                return '"True" | "False"'
            case "null":
                return '"None"'
            case "array":
                return self._list(name, schema, depth)
            case "object":
                return self._object(name, schema, depth)
        return self._any()

    def _list(self, name: str, schema: Mapping[str, Any], depth: int) -> str:
        item = self._value(name, schema.get("items"), depth + 1)
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        others = f"{max(0, least - 1)},{'' if most is None else int(most) - 1}"
        more = "" if most in (0, 1) else f'(", " {item}){{{others}}}'
        some = "" if most == 0 else f'"[" {item} {more} "]"'
        return " | ".join(filter(None, [some, '"[]"' if least == 0 else ""]))

    def _object(self, name: str, schema: Mapping[str, Any], depth: int) -> str:
        """A dict with the keys that must be there, in order."""
        check_object(name, schema, self._strict)
        entries = [
            f"{literal(json.dumps(key, ensure_ascii=False) + ': ')} "
            f"{self._value(name, inner, depth + 1)}"
            for key, inner, required in properties_of(schema, self._strict)
            if required
        ]
        between = ' ", " '
        return f'"{{" {between.join(entries)} "}}"'

    def _any(self) -> str:
        """A text, a number or a truth value: what is not described is not nested."""
        return f'{TEXT} | %json {{"type": "number"}} | "True" | "False"'


def python_of(value: Any) -> str:
    """A value as a literal of Python, its texts in double quotes."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(python_of, value))}]"
        case dict():
            pairs = (f"{python_of(key)}: {python_of(one)}" for key, one in value.items())
            return f"{{{', '.join(pairs)}}}"
    return repr(value)
