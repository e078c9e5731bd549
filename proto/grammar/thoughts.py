"""A form behind what a model may think first: it may begin a thought, and the form follows it; or
the answer begins with the form."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from raylax.proto.grammar.rules import Rules, literal

FORM = "form"


class Thinking(NamedTuple):
    """How a model writes a thought."""

    opens: Sequence[str]
    closes: Sequence[str]
    special: Mapping[str, int]
    """Ids of the marks that are special tokens."""
    between: str = ""
    """Behind a thought, before what follows it."""
    before: str = ""
    """Before the form, whether there was a thought or not."""


def may_think_first(grammar: str, thinking: Thinking) -> str:
    """The grammar of a thought, if there is one, and of what this one describes. In a thought no
    mark of its end stands, be it written by other tokens: who reads it would take it for one."""
    rules = Rules(thinking.special)
    if any(mark in text for text in thinking.opens for mark in thinking.special):
        inside = "|".join(map(pattern, thinking.closes))
        free = rules.terminal("THOUGHT", rf"/(.|\n)*/ & ~/(.|\n)*({inside})(.|\n)*/")
        thought = f"{rules.text(thinking.opens[0])} {free} {rules.text(thinking.closes[0])}"
    else:
        first, last = (" | ".join(map(literal, marks)) for marks in thinking[:2])
        thought = rules.add("thought", rf"({first}) /(.|\n)*/ ({last})", attributes="[lazy]")
    before = rules.text(thinking.before)
    start = rules.lark(f"({thought} {rules.text(thinking.between)})? {before} @{FORM}")
    return json.dumps({"grammars": [{"lark_grammar": start}, *named(grammar)]})


def named(grammar: str) -> list[dict[str, object]]:
    """The grammars that this one consists of, the first of them with the name of the form."""
    told = {"lark_grammar": grammar}
    first, *others = json.loads(grammar)["grammars"] if grammar.startswith("{") else [told]
    return [{**first, "name": FORM}, *others]


def pattern(mark: str) -> str:
    """A regular expression of this text, as Lark has them."""
    return re.escape(mark).replace("/", r"\/")
