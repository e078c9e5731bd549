"""Rules in Lark's notation as llguidance reads it, put together piece by piece."""

import json
import re
from collections.abc import Mapping
from typing import Any

from raylax.proto.grammar.limits import MOST_BYTES
from raylax.proto.grammar.schema import enforced
from raylax.proto.grammar.style import JSON_STYLE

NOTHING = '""'
"""The empty text."""


def literal(text: str) -> str:
    """This text and no other; nothing for none."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") if text else ""


def json_of(schema: Mapping[str, Any] | bool, lenient: bool) -> str:
    """JSON that validates. Raises Unenforceable, unless `lenient`."""
    return f"%json {json.dumps(styled(schema, lenient))}"


def styled(schema: Mapping[str, Any] | bool, lenient: bool) -> dict[str, Any]:
    """The schema, which says how its JSON is written. Raises Unenforceable, unless `lenient`."""
    told: Mapping[str, Any] = {} if schema is True else {"not": {}} if schema is False else schema
    return {**enforced(told, not lenient), "x-guidance": {**JSON_STYLE, "lenient": lenient}}


class Rules:
    """Named rules of one grammar."""

    def __init__(self, special: Mapping[str, int]) -> None:
        """`special`: ids of the marks that are special tokens, and must be written as those."""
        self._special, self._lines, self._count = special, list[str](), 0
        self._size = 0
        self._others = list[dict[str, str]]()
        marks = map(re.escape, sorted(special, key=len, reverse=True))
        self._marks = re.compile(f"({'|'.join(marks)})") if special else None

    def add(self, name: str, body: str, attributes: str = "") -> str:
        """A rule of its own; its name, which begins like this."""
        made = self.name(name)
        self.define(made, body, attributes)
        return made

    def name(self, name: str) -> str:
        """Of a rule that is told later, and begins like this."""
        self._count += 1
        return f"{name}_{self._count}"

    def define(self, name: str, body: str, attributes: str = "") -> None:
        """The rule of this name. Raises ValueError where all are larger than grammars may be."""
        self._size += len(body)
        if self._size > MOST_BYTES:
            raise ValueError(f"a grammar may have {MOST_BYTES} bytes, this one has more")
        self._lines.append(f"{name}{attributes}: {body}")

    def terminal(self, name: str, expression: str) -> str:
        """A terminal by a regular expression; its name."""
        self._lines.append(f"{name}: {expression}")
        return name

    def text(self, text: str) -> str:
        """This text, its marks as their tokens."""
        parts = [text] if self._marks is None else self._marks.split(text)
        ids = self._special
        each = (f"<[{ids[one]}]>" if one in ids else literal(one) for one in parts)
        return " ".join(filter(None, each))

    def other(self, grammar: str) -> str:
        """What a grammar of its own describes, in Lark's notation."""
        self._count += 1
        name = f"other_{self._count}"
        self._others.append({"name": name, "lark_grammar": grammar})
        return f"@{name}"

    def lark(self, start: str) -> str:
        """The whole grammar, which begins with this rule."""
        own = "\n".join([f"start: {start}", *self._lines])
        if not self._others:
            return own
        return json.dumps({"grammars": [{"lark_grammar": own}, *self._others]})
