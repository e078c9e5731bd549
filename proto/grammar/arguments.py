"""The arguments of a call as a rule, by their schema, in each of the ways in which formats write
them: a JSON object, pairs of keys and bare values, or Python's keyword arguments."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.inputs import written_grammar
from raylax.proto.grammar.rules import Rules, json_of, literal
from raylax.proto.grammar.schema import Unenforceable
from raylax.proto.parsers.tools.kind import CallFormat, PairFormat

SAY_NOTHING = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$schema", "$id", "$comment", "$defs", "definitions",
})  # fmt: skip
"""Keywords that mean nothing for a value."""
OF_OBJECTS = ("type", "properties", "required", "additionalProperties")
"""Those that objects are held to where they are not written as JSON: they have no other names."""
OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
OF_KIND: dict[Any, tuple[str, ...]] = {
    "integer": OF_NUMBERS, "number": OF_NUMBERS, "array": ("items", "minItems", "maxItems"),
    "object": OF_OBJECTS,
}  # fmt: skip
"""Those that values of Python are held to, by their type."""
PYTHON_TEXT = r'/"([^"\\\x00-\x1f]|\\["\\nrt])*"/'
DEEPEST = 8
"""Values in values, in Python."""


def arguments_rule(
    rules: Rules, format: CallFormat, schema: Mapping[str, Any], strict: bool
) -> str:
    """The name of a rule. Raises Unenforceable for what is strict, and cannot be enforced."""
    match format.arguments:
        case "json":
            told = {"type": "object", **schema}
            return rules.add("arguments", json_of(told, not strict))
        case "pairs":
            check_object("parameters", schema, strict)
            assert format.pairs is not None
            pairs = (pair_of(rules, format.pairs, *one, strict) for one in properties_of(schema))
            return rules.add("arguments", " ".join(pairs) or '""')
        case "python":
            check_object("parameters", schema, strict)
            return rules.add("arguments", keywords(rules, schema, strict))


def input_rule(
    rules: Rules, format: CallFormat, schema: Mapping[str, Any], wish: Constraint
) -> str:
    """The name of a rule of arguments that are one text, in a form of its own. Raises
    InvalidRequest for one that cannot be written in this format."""
    (name,) = schema["properties"]
    try:
        text = rules.other(written_grammar(wish, as_text=format.arguments != "pairs"))
    except ValueError as error:
        raise InvalidRequest(f"{wish.field}: {error}", param=wish.field) from None
    match format.arguments:
        case "json":
            before, after = f'{{"{name}": "', '"}'
        case "pairs":
            assert (marks := format.pairs) is not None
            before, after = marks.before_key + name + marks.after_key, marks.after_value
        case "python":
            before, after = f'{name}="', '"'
    return rules.add("arguments", f"{rules.text(before)} {text} {rules.text(after)}")


def properties_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Each argument's name, its schema, and whether it must be given."""
    required = schema.get("required", ())
    for name, inner in dict(schema.get("properties") or {}).items():
        yield name, inner, name in required


def pair_of(
    rules: Rules, marks: PairFormat, name: str, schema: Any, required: bool, strict: bool
) -> str:
    """A key and its value: texts are bare, all else is JSON."""
    after = marks.after_value
    if (texts := texts_of(schema)) is not None:
        only(name, schema, ("type", "const" if "const" in schema else "enum"), strict)
        value = " | ".join(literal(text) for text in texts)
        body = f"({value}) {rules.text(after)}"
    elif is_text(schema):
        only(name, schema, ("type",), strict)
        ends = after.strip()
        lines = after.partition(ends)
        body = rules.add("text", rf"/(.|\n)*/ {literal(lines[0] + ends)}", attributes="[lazy]")
        body = f"{body} {literal(lines[2])}"
    else:
        body = f"{json_of(schema, not strict)} {rules.text(after)}"
    pair = rules.add("pair", f"{literal(marks.before_key + name + marks.after_key)} {body}")
    return pair if required else f"{pair}?"


def texts_of(schema: Any) -> list[str] | None:
    """The texts of which a value is one; None if it may be another."""
    if not isinstance(schema, Mapping):
        return None
    named = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(named, list) and named and all(isinstance(one, str) for one in named):
        return named
    return None


def is_text(schema: Any) -> bool:
    """Whether a value may be any kind of text, and so is written bare."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind is None or kind == "string" or (isinstance(kind, list) and "string" in kind)


def only(name: str, schema: Any, enforced: Iterable[str], strict: bool) -> None:
    """Raises Unenforceable for a value that its schema says more of."""
    said = [] if isinstance(schema, Mapping) else ["false"] if schema is False else []
    if isinstance(schema, Mapping):
        known = {*enforced, *SAY_NOTHING}
        said = [key for key in schema if key not in known and not key.startswith("x-")]
    if strict and said:
        raise Unenforceable(f"{name}: {', '.join(said)} cannot be enforced in this model's calls")


def check_object(name: str, schema: Mapping[str, Any], strict: bool) -> None:
    """Raises Unenforceable for an object that is not told by the schemas of its names."""
    only(name, schema, OF_OBJECTS, strict)
    known = schema.get("properties") or {}
    missing = [one for one in schema.get("required", ()) if one not in known]
    if strict and missing:
        raise Unenforceable(f"{name}: required has {missing[0]!r:.80}, which is no property")


def keywords(rules: Rules, schema: Mapping[str, Any], strict: bool) -> str:
    """Python's keyword arguments: those that must be given, then any of the others, in order."""
    given = {
        name: (f"{literal(name + '=')} {python_value(rules, name, inner, strict)}", required)
        for name, inner, required in properties_of(schema)
    }
    must = ' ", " '.join(one for one, required in given.values() if required)
    others = [one for one, required in given.values() if not required]
    if must:
        return " ".join([must, *(f'(", " {one})?' for one in others)])
    # without a first one that is certain, the commas depend on which there are
    ways = [
        " ".join([first, *(f'(", " {one})?' for one in others[at + 1 :])])
        for at, first in enumerate(others)
    ]
    return " | ".join([*ways, '""'])


def python_value(rules: Rules, name: str, schema: Any, strict: bool, depth: int = 0) -> str:
    """A literal of Python."""
    if strict and depth > DEEPEST:
        raise Unenforceable(f"{name}: this model's calls nest values {DEEPEST} deep")
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        only(name, schema, (), strict)
        return any_literal(rules)
    if "const" in schema or "enum" in schema:
        only(name, schema, ("type", "const" if "const" in schema else "enum"), strict)
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return rules.add("value", " | ".join(literal(python_of(one)) for one in values))
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    only(name, schema, ["type", *(one for kind in kinds for one in OF_KIND.get(kind, ()))], strict)
    ways = [python_kind(rules, name, kind, schema, strict, depth) for kind in kinds]
    return rules.add("value", " | ".join(ways))


def python_kind(
    rules: Rules, name: str, kind: Any, schema: Mapping[str, Any], strict: bool, depth: int
) -> str:
    match kind:
        case "string":
            return PYTHON_TEXT
        case "integer" | "number":
            return json_of({**schema, "type": kind}, not strict)
        case "boolean":
            return '"True" | "False"'
        case "null":
            return '"None"'
        case "array":
            item = python_value(rules, name, schema.get("items"), strict, depth + 1)
            least, most = schema.get("minItems", 0), schema.get("maxItems")
            others = f"{max(0, least - 1)},{'' if most is None else max(0, most - 1)}"
            more = f'(", " {item}){{{others}}}'
            some = "" if most == 0 else f'"[" {item} {more} "]"'
            return " | ".join(filter(None, [some, '"[]"' if least == 0 else ""]))
        case "object":
            check_object(name, schema, strict)
            return python_object(rules, name, schema, strict, depth)
    return any_literal(rules)


def python_object(
    rules: Rules, name: str, schema: Mapping[str, Any], strict: bool, depth: int
) -> str:
    """A dict with the keys that must be there, in order."""
    entries = [
        f"{literal(json.dumps(key, ensure_ascii=False) + ': ')} "
        f"{python_value(rules, name, inner, strict, depth + 1)}"
        for key, inner, required in properties_of(schema)
        if required
    ]
    between = ' ", " '
    return f'"{{" {between.join(entries)} "}}"'


def any_literal(rules: Rules) -> str:
    """A text, a number or a truth value: what is not described is not nested."""
    return rules.add("value", f'{PYTHON_TEXT} | %json {{"type": "number"}} | "True" | "False"')


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
