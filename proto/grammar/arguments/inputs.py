"""The input of a tool that takes a text in a grammar of its own, as it is written in a call: there
it is a text of JSON or of Python, with backslashes before some of its characters."""

import ast
import json
import re
from collections.abc import Mapping

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.rules import literal

ESCAPES = {'"': '"', "\\": "\\", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
"""Characters that are written with a backslash; no other control characters are written."""
BARE = r'--["\\\x00-\x1f\x7f]'
"""Takes those out of a set of characters."""
ATOM = re.compile(
    r"\\[pP]\{[^}]*\}|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[\](){}|*+?^$]",
    re.DOTALL,
)
"""What stands for one character in a regular expression."""
PART = re.compile(
    r"""
    (?P<nothing> //[^\n]* | ->[ \t]*\w+ | (?<![^\n])[?!] | %ignore[^\n]* )
    | (?P<text> "(?:\\.|[^"\\\n])*" ) (?P<same_case>i?)
    | /(?P<expression> (?:\\.|[^/\\\n])+ )/ (?P<flags>[a-z]*)
    | %import[ \t]+common\.(?P<common>\w+) (?:[ \t]*->[ \t]*(?P<alias>\w+))?
    | (?P<rule>[a-z_]\w*) | %\w+ | ~ | <[^>\n]*>
    """,
    re.VERBOSE,
)
"""What a grammar in Lark's notation says of characters, and what cannot be put otherwise."""
SLASH = re.compile(r"\\/|/")
COMMON: Mapping[str, str] = {
    "LF": r"\n", "CR": r"\r", "NEWLINE": r"(\r?\n)+", "WS": r"[ \t\f\r\n]+", "WS_INLINE": r"[ \t]+",
    "ESCAPED_STRING": r'"([^"\\\n]|\\.)*"', "DIGIT": "[0-9]", "INT": "[0-9]+", "LETTER": "[a-zA-Z]",
    "WORD": "[a-zA-Z]+", "CNAME": "[_a-zA-Z][_a-zA-Z0-9]*", "HEXDIGIT": "[0-9a-fA-F]",
    "SIGNED_INT": "[+-]?[0-9]+", "LCASE_LETTER": "[a-z]", "UCASE_LETTER": "[A-Z]",
}  # fmt: skip
"""Lark's own terminals."""


def written_grammar(wish: Constraint, as_text: bool) -> str:
    """The grammar of an input, in Lark's notation. `as_text`: with its backslashes, without the
    quotes around it. Raises ValueError for what cannot be put so."""
    given = str(wish.value)
    if wish.kind == "regex":
        given = "start: /" + SLASH.sub(r"\\/", given) + "/"
    return f"start: {renamed('start')}\n{PART.sub(as_written, given)}" if as_text else given


def as_written(part: re.Match[str]) -> str:
    """A part of a grammar, for a text that is written with backslashes. Its rules are terminals:
    one expression for the whole text, for a character and what is before it may share a
    backslash."""
    said = part.groupdict()
    if said["nothing"] is not None:
        return ""
    if said["rule"] is not None:
        return renamed(said["rule"])
    if said["text"] is not None:
        text = json.dumps(ast.literal_eval(said["text"]), ensure_ascii=False)[1:-1]
        return literal(text) + said["same_case"]
    if said["expression"] is not None:
        return f"/{quoted(said['expression'], 's' in said['flags'])}/{said['flags']}"
    if said["common"] in COMMON:
        name = said["common"]
        return f"{renamed(said['alias'] or name)}: /{quoted(COMMON[name], False)}/"
    raise ValueError(f"{part[0]} cannot be used in the grammar of a tool's input")


def renamed(name: str) -> str:
    """A name, as of a terminal."""
    return f"RULE_{name.upper()}" if name[0].islower() else name


def quoted(expression: str, any_dot: bool) -> str:
    """A regular expression of what JSON writes for the texts of this one."""
    return ATOM.sub(lambda atom: atom_written(atom[0], any_dot), expression)


def atom_written(atom: str, any_dot: bool) -> str:
    """What is written for the characters for which this stands. Raises ValueError for what Python
    cannot read."""
    if atom.startswith(r"\p"):
        return atom  # letters, digits and their like
    try:
        one = re.compile(atom, re.ASCII | (re.DOTALL if any_dot else 0))
        members = [sign for char, sign in ESCAPES.items() if one.fullmatch(char)]
        others = one.fullmatch("\x01") is not None or len(atom) > 1
    except re.error as error:
        raise ValueError(f"{atom}: {error}") from None
    if not members and not others:
        return atom
    signs = "".join(rf"\{sign}" if sign in '"\\' else sign for sign in members)
    inner = r"[^\n]" if atom == "." and not any_dot else r"[\s\S]" if atom == "." else f"[{atom}]"
    plain = f"[{inner}{BARE}]"
    return f"(?:{plain}|\\\\[{signs}])" if members else plain
