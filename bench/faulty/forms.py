"""Requests whose answers have a form, and whether an answer has it."""

import json
import random
import re
from dataclasses import dataclass
from typing import Any

import jsonschema

FORECAST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"$ref": "#/$defs/City"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "rain": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
        "note": {"type": "string", "maxLength": 12},
    },
    "required": ["city", "days", "rain", "note"],
    "additionalProperties": False,
    "$defs": {"City": {"enum": ["Rome", "Oslo", "Lima"]}},
}
STOP: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
SCHEMAS = {"look": FORECAST, "stop": STOP}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema}}
    for name, schema in SCHEMAS.items()
]
PATTERN = r"[A-Z][a-z]{2,8}( [0-9]{1,3}){1,6}\."
TREE = """root ::= "(" inner ")"
inner ::= [a-z]+ | root root?"""
LOOK = {"type": "function", "function": {"name": "look"}}


@dataclass(frozen=True)
class Form:
    """What an answer has to be."""

    kind: str
    fields: dict[str, Any]
    """Of a chat completion's body that ask for it."""


FORMS = (
    Form("json", {"response_format": {
        "type": "json_schema", "json_schema": {"name": "a", "schema": FORECAST, "strict": True},
    }}),
    Form("regex", {"guided_regex": PATTERN}),
    Form("choice", {"guided_choice": ["yes", "no", "perhaps not"]}),
    Form("tree", {"guided_grammar": TREE}),
    Form("calls", {"tools": TOOLS, "tool_choice": "required"}),
    Form("call", {"tools": TOOLS, "tool_choice": LOOK, "parallel_tool_calls": False}),
)  # fmt: skip


def form(rng: random.Random) -> Form:
    return rng.choice(FORMS)


def what_is_wrong(form: Form, choices: list[dict[str, Any]]) -> str | None:
    """With the choices of an answer, of a stream or not; None: they have the form. What
    `max_tokens` has cut need not be whole."""
    ends, texts = dict[int, str](), dict[int, str]()
    calls = dict[int, dict[int, list[str]]]()
    for choice in choices:
        at, said = choice["index"], choice.get("delta") or choice.get("message") or {}
        ends[at] = choice.get("finish_reason") or ends.get(at, "")
        texts[at] = texts.get(at, "") + (said.get("content") or "")
        for i, call in enumerate(said.get("tool_calls") or ()):
            made = calls.setdefault(at, {}).setdefault(call.get("index", i), ["", ""])
            made[0] += call["function"].get("name") or ""
            made[1] += call["function"].get("arguments") or ""
    for at, end in ends.items():
        if end == "length":
            continue
        try:
            check(form, end, texts[at], list(calls.get(at, {}).values()))
        except (ValueError, KeyError, jsonschema.ValidationError) as error:
            return f"choice {at} ({end}): {texts[at]!r} {calls.get(at)}: {error!r:.300}"
    return None


def check(form: Form, end: str, text: str, calls: list[list[str]]) -> None:
    """Raises ValueError, KeyError or ValidationError for an answer that has not the form."""
    if form.kind in ("call", "calls"):
        if end != "tool_calls" or text.strip() or not calls:
            raise ValueError("not calls alone")
        for name, arguments in calls:
            jsonschema.validate(json.loads(arguments), SCHEMAS[name])
        if form.kind == "call" and [name for name, _ in calls] != ["look"]:
            raise ValueError("another call")
    elif form.kind == "json":
        jsonschema.validate(json.loads(text), FORECAST)
    elif form.kind == "regex" and not re.fullmatch(PATTERN, text):
        raise ValueError("not of the pattern")
    elif form.kind == "choice" and text not in form.fields["guided_choice"]:
        raise ValueError("no choice")
    elif form.kind == "tree" and not is_tree(text):
        raise ValueError("no tree")


def is_tree(text: str) -> bool:
    """Whether brackets can be taken away, innermost first, until one is left."""
    while (less := re.sub(r"\((?:[a-z]+|T{1,2})\)", "T", text)) != text:
        text = less
    return text == "T"
