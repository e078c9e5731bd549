"""Resources as YAML, with words of Helm's where a chart has a value.

A word is a string between brackets that no value has; in the text it becomes Helm's braces. So the
resources of a chart are made by the same functions as those without one.
"""

import re
from typing import Any

import yaml

OPEN, CLOSE = "\u27e6", "\u27e7"
WORD = re.compile(f"{OPEN}(.*?){CLOSE}")


def word(expression: str) -> str:
    """What Helm computes in this place."""
    return f"{OPEN}{expression}{CLOSE}"


def quoted(leaf: str | int) -> str:
    """As a string, where a number would not do."""
    found = WORD.fullmatch(str(leaf))
    return word(f"{found[1]} | quote") if found else str(leaf)


class Literal(str):
    """Text of several lines, which is shown as such."""


class Dumper(yaml.SafeDumper):
    """Lists stand in from their keys, nothing is said by reference, and texts keep their lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def shown(dumper: yaml.SafeDumper, text: Literal) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


Dumper.add_representer(Literal, shown)


def inner(value: Any) -> Literal:
    """YAML that is a text in other YAML."""
    return Literal(yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True))


def text_of(resource: Any) -> str:
    """YAML, or a template of it."""
    return WORD.sub(r"{{ \1 }}", inner(resource))
