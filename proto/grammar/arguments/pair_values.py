"""Arguments as pairs of a key and a bare value: texts are as they are, all else is JSON."""

import json
from collections.abc import Iterator
from typing import Any

from raylax.proto.grammar.arguments.held import (
    alternatives_of,
    check_object,
    only,
    properties_of,
    values_of,
)
from raylax.proto.grammar.rules import NOTHING, Rules, json_of, literal
from raylax.proto.grammar.schema import Unenforceable
from raylax.proto.parsers.tools.kind import PairFormat
from raylax.proto.parsers.tools.pairs import is_key, typed
from raylax.proto.parsers.tools.value_kinds import kinds_in, kinds_of_arguments
from raylax.proto.schemas.places import Place
from raylax.proto.schemas.resolved import Resolved

Ways = dict[str | None, None]
"""Rules of what a value may be; None: any text."""


class PairValues:
    """Of one function."""

    def __init__(self, rules: Rules, marks: PairFormat, schema: Resolved, strict: bool) -> None:
        self._rules, self._marks, self._schema, self._strict = rules, marks, schema, strict
        self._known = dict[tuple[str, int], Ways]()
        self._kinds = kinds_of_arguments(schema.whole)

    def rule(self) -> str:
        """The name of the rule of them all. Raises Unenforceable."""
        root = self._schema.followed(self._schema.root)
        check_object("parameters", root, self._strict)
        pairs = (self._pair(*one) for one in properties_of(root, self._strict, is_key))
        return self._rules.add("arguments", " ".join(filter(None, pairs)) or NOTHING)

    def _pair(self, name: str, schema: Any, required: bool) -> str:
        """A key and its value; nothing where that can only be left out. Raises Unenforceable."""
        marks, after = self._marks, self._marks.after_value
        ways = self._ways(name, schema)
        if not ways:
            if required or self._strict:
                raise Unenforceable(f"{name}: no value of it would be read as it is meant")
            return ""
        if None in ways:
            if len(ways) > 1:
                only(name, {"anyOf": []}, (), self._strict)
            ends = after.strip()
            lines = after.partition(ends)
            body = rf"/(.|\n)*/ {literal(lines[0] + ends)}"
            body = f"{self._rules.add('text', body, attributes='[lazy]')} {literal(lines[2])}"
        else:
            body = f"({' | '.join(map(str, ways))}) {self._rules.text(after)}"
        key = literal(marks.before_key + name + marks.after_key)
        pair = self._rules.add("pair", f"{key} {body}")
        return pair if required else f"{pair}?"

    def _ways(self, name: str, schema: Any) -> Ways:
        """Those of a value; none while they are looked for, of one that is an alternative to
        itself."""
        schema = self._schema.followed(schema)
        known = name, id(schema)
        if known not in self._known:
            self._known[known] = {}
            self._known[known] = self._ways_of(name, schema)
        return self._known[known]

    def _texts(self, values: list[Any], kinds: frozenset[str]) -> Iterator[str]:
        """How these values are written, but for those that would be read as others: a text that
        looks like a number, where it may be one."""
        for one in values:
            text = one if isinstance(one, str) else json.dumps(one)
            if self._marks.after_value.strip() in text:
                continue
            read = text if kinds == {"string"} else json.loads(typed(text, kinds))
            if json.dumps(read) == json.dumps(one):
                yield text

    def _ways_of(self, name: str, schema: Any) -> Ways:
        if (values := values_of(schema)) is not None:
            only(name, schema, ("type", "const" if "const" in schema else "enum"), self._strict)
            texts = self._texts(values, self._kinds.get(name, frozenset()))
            return {literal(text) or NOTHING: None for text in texts}
        alternatives = alternatives_of(schema)
        if alternatives:
            if len(alternatives) > 1:
                only(name, schema, ("anyOf",), self._strict)
            return {way: None for one in alternatives for way in self._ways(name, one)}
        kinds = kinds_in(Place(schema, ""), self._schema.places, {})
        if not kinds or "string" in kinds:
            only(name, schema, ("type",), self._strict)
            return {None: None}
        return {json_of({**schema, **self._schema.defs_for(schema)}, not self._strict): None}
