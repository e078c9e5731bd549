"""GBNF, as llama.cpp has it, and the EBNF that others have made of it, in Lark's notation.

    root ::= "yes" | maybe
    maybe ::= "per" ("haps" | [a-z0-9]){1,3}  # a comment

White space means nothing: a rule ends where the next one begins. Rules that do not lead to
themselves become terminals, which are matched as one expression: else a first part would take all
that it can, and leave nothing to the next one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from raylax.proto.grammar.rules import NOTHING, literal

BLANK = r"(?:\s|\#[^\n]*)*"
DEFINES = "::="
OF_LARK = re.compile(r"^[ \t]*(%llguidance\b|[?!]?start\b[^:\n]*:(?!:=))", re.MULTILINE)
"""How a grammar begins that is no such one."""
TOKEN = re.compile(
    rf"""
    (?P<name> [A-Za-z0-9_] [A-Za-z0-9_-]*) (?P<defines> {BLANK} {DEFINES})?
    | (?P<text> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
    | (?P<set> \[ (?:\\.|[^\]\\])* \])
    | (?P<repeated> [*+?] | \{{ \s* \d* \s* (?: , \s* \d* \s*)? \}})
    | (?P<mark> [()|.])
    """,
    re.VERBOSE | re.DOTALL,
)
CHARACTER = re.compile(
    r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([^\\])", re.DOTALL
)
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", **{one: one for one in "\"'\\[]^-/"}}
ROOTS = ("root", "start")
ANY = r"/(.|\n)/"


RANGE = ""
"""Stands for a hyphen that was not escaped."""
KINDS = ("defines", "name", "text", "set", "repeated", "mark")
SPACE = re.compile(BLANK)


class Token(NamedTuple):
    """A piece of a grammar."""

    kind: str
    text: str
    line: int


Rules = Mapping[str, Sequence[Token]]


def is_gbnf(grammar: str) -> bool:
    """Whether its rules are defined as here, and not in Lark's notation."""
    return DEFINES in grammar and OF_LARK.search(grammar) is None


def lark_of(grammar: str) -> str:
    """The same in Lark's notation. Raises ValueError with the line of what is wrong."""
    rules = rules_in(grammar)
    root = next((one for one in ROOTS if one in rules), None)
    if root is None:
        raise ValueError(f"there is no rule root, but {', '.join(rules)[:80]}")
    for tokens in rules.values():
        for kind, text, line in tokens:
            if kind == "name" and text not in rules:
                raise ValueError(f"line {line}: there is no rule {text[:80]}")
    flat = terminals_of(rules)
    names = {name: f"{'RULE' if name in flat else 'rule'}_{at}" for at, name in enumerate(rules)}
    bodies = (f"{names[name]}: {body_of(tokens, names)}" for name, tokens in rules.items())
    return "\n".join([f"start: {names[root]}", *bodies])


def rules_in(grammar: str) -> Rules:
    """Each rule by its name."""
    rules, tokens = dict[str, list[Token]](), list[Token]()
    for token in tokens_of(grammar):
        if token.kind != "defines":
            if not rules:
                raise ValueError(f"line {token.line}: {token.text[:40]!r} is in no rule")
            tokens.append(token)
            continue
        if token.text in rules:
            raise ValueError(f"line {token.line}: there is a rule {token.text[:80]} already")
        tokens = rules[token.text] = []
    return rules


def tokens_of(grammar: str) -> Iterator[Token]:
    """Its pieces, and where a rule begins."""
    line, at = 1, 0
    while True:
        blank = SPACE.match(grammar, at)
        assert blank is not None
        line, at = line + grammar.count("\n", at, blank.end()), blank.end()
        if at == len(grammar):
            return
        if (found := TOKEN.match(grammar, at)) is None:
            raise ValueError(f"line {line}: {grammar[at : at + 20]!r} is not known here")
        kind = next(one for one in KINDS if found[one] is not None)
        yield Token(kind, found["name"] or found[0], line)
        line, at = line + grammar.count("\n", at, found.end()), found.end()


def terminals_of(rules: Rules) -> set[str]:
    """The rules that do not lead to themselves."""
    needs = {
        name: {one.text for one in tokens if one.kind == "name"} for name, tokens in rules.items()
    }
    known = set[str]()
    while new := {name for name, needed in needs.items() if needed <= known} - known:
        known |= new
    return known


def body_of(tokens: Sequence[Token], names: Mapping[str, str]) -> str:
    """What a rule says, in Lark's notation, which joins, groups and repeats as this one."""
    said, opened, last = list[str](), list[int](), None
    line = tokens[0].line if tokens else 1
    for kind, text, line in tokens:
        match kind, text:
            case "repeated", _:
                if last is None:
                    raise ValueError(f"line {line}: {text} has nothing to repeat")
                said[last:] = [f"({' '.join(said[last:])}{times(text, line)})"]
                continue
            case "mark", "(":
                opened.append(len(said))
                said.append(text)
                last = None
                continue
            case "mark", "|" | ")":
                if text == ")" and not opened:
                    raise ValueError(f"line {line}: ) closes nothing")
                said += [NOTHING, text] if is_open(said) else [text]
                last = opened.pop() if text == ")" else None
                continue
            case "mark", _:
                said.append(ANY)
            case "name", _:
                said.append(names[text])
            case "text", _:
                chars = "".join(characters(text[1:-1], line))
                said.append(literal(chars) or NOTHING)
            case _:
                said.append(set_of(text, line))
        last = len(said) - 1
    if opened:
        raise ValueError(f"line {line}: Expected ')', a ( is not closed")
    return " ".join([*said, NOTHING] if is_open(said) else said)


def is_open(said: Sequence[str]) -> bool:
    """Whether nothing stands behind the last mark."""
    return not said or said[-1] in ("(", "|")


def times(text: str, line: int) -> str:
    """How often something is repeated."""
    if text in "*+?":
        return text
    least, comma, most = re.sub(r"[{}\s]", "", text).partition(",")
    if not (least or comma):
        raise ValueError(f"line {line}: {text} says no number")
    return f"{{{least or 0},{most if comma else least}}}"


def set_of(text: str, line: int) -> str:
    """One of some characters, as an expression."""
    inside = text[1:-1]
    not_these, inside = inside.startswith("^"), inside.removeprefix("^")
    items, at, chars = list[str](), 0, [*characters(inside, line, ranges=True)]
    while at < len(chars):
        first = chars[at] or "-"
        if at + 2 < len(chars) and chars[at + 1] == RANGE:
            last = chars[at + 2] or "-"
            if last < first:
                raise ValueError(f"line {line}: the range {first}-{last} has no characters")
            items.append(f"{numbered(first)}-{numbered(last)}")
            at += 3
        else:
            items.append(numbered(first))
            at += 1
    if not items:
        raise ValueError(f"line {line}: {text} has no characters")
    return f"/[{'^' if not_these else ''}{''.join(items)}]/"


def numbered(character: str) -> str:
    """As no expression takes it for anything else."""
    return rf"\x{{{ord(character):x}}}"


def characters(written: str, line: int, ranges: bool = False) -> Iterator[str]:
    """Those that are written so. `ranges`: a bare hyphen may be the middle of one."""
    for found in CHARACTER.finditer(written):
        digits, escaped, plain = found[1] or found[2] or found[3], found[4], found[5]
        if digits:
            code = int(digits, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise ValueError(f"line {line}: {found[0]} is no character")
            yield chr(code)
        elif escaped:
            if escaped not in ESCAPED:
                raise ValueError(f"line {line}: {found[0]} is no escape that is known here")
            yield ESCAPED[escaped]
        else:
            yield RANGE if ranges and plain == "-" else plain
