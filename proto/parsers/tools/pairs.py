"""Arguments that are written as pairs of a key and a value, in tags, and not as JSON.

A value is bare: a text has no quotes. What it stands for says the function's schema. Texts stream;
other values are known once they have ended.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raylax.proto.parsers.notation import PYTHON, quoted, rewritten
from raylax.proto.parsers.source import Deviation, Pieces, Source, text_of
from raylax.proto.parsers.tools.value_kinds import kinds_of_arguments

LONGEST_KEY = 256
KEY = re.compile(r"[^<>\n]*")
KINDS = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}
"""By the first letter of their JSON; all else are numbers."""
WORDS = {"true": "true", "false": "false", "none": "null", "null": "null"}


def is_key(text: str) -> bool:
    """Whether an argument of this name can be written."""
    fits = 0 < len(text) <= LONGEST_KEY and KEY.fullmatch(text) is not None
    return fits and text == text.strip()


@dataclass(frozen=True, slots=True)
class PairMarks:
    """What stands around a pair. Between a key and its value, and around both, there may be white
    space."""

    before_key: str
    after_key: str
    before_value: str
    after_value: str
    end: str
    """After all pairs."""
    own_lines: bool
    """Whether a line break at the beginning of a value, and at its end, is none of it."""


def pair_pieces(source: Source, marks: PairMarks, schema: Mapping[str, Any]) -> Pieces:
    """The object that pairs are, without its last brace; their end is read, too."""
    kinds = kinds_of_arguments(schema)
    yield "{"
    between = ""
    while not (yield from source.may_after_blank(marks.end)):
        yield from source.blank()
        yield from source.must(marks.before_key)
        key = (yield from source.word(KEY, LONGEST_KEY)).strip()
        yield from source.must(marks.after_key)
        if marks.before_value:
            yield from source.blank()
            yield from source.must(marks.before_value)
        yield f'{between}"{quoted(key)}": '
        yield from value_pieces(source, marks, kinds.get(key, frozenset()))
        between = ", "


def value_pieces(source: Source, marks: PairMarks, kinds: frozenset[str]) -> Pieces:
    """A value of one of these kinds; none: nobody says which."""
    ends: tuple[str, ...] = (marks.after_value,)
    if marks.own_lines:
        yield from source.may("\n")
        ends = ("\n" + marks.after_value, marks.after_value)
    if kinds != {"string"}:
        yield typed((yield from text_of(until(source, ends))), kinds)
        return
    yield '"'
    for piece in until(source, ends):
        yield None if piece is None else quoted(piece)
    yield '"'


def until(source: Source, marks: tuple[str, ...]) -> Pieces:
    """The text up to one of these, which is read. Raises Deviation where there is none."""
    if (yield from source.up_to(marks)) is None:
        raise Deviation


def typed(text: str, kinds: frozenset[str]) -> str:
    """The JSON of a value that is written bare: its own, if it may be of that kind; or else a
    text."""
    bare = text.strip()
    written = rewritten(bare)
    if written is None and kinds:
        written = WORDS.get(bare.lower())
    if written is None and kinds and "string" not in kinds:
        written = rewritten(bare, PYTHON)
    if written is not None and may_be(kind_of(written), kinds):
        return written
    return f'"{quoted(text)}"'


def kind_of(written: str) -> str:
    """Of a value that is written as JSON. A number is an integer where that is its value."""
    kind = KINDS.get(written[0], "number")
    is_whole = kind == "number" and (written.lstrip("-").isdigit() or float(written).is_integer())
    return "integer" if is_whole else kind


def may_be(kind: str, kinds: frozenset[str]) -> bool:
    """Whether a value of this kind is meant, and not a text that looks like it."""
    if not kinds:
        return kind != "string"
    if "string" not in kinds:
        return True
    return kind in kinds - {"string"} or (kind == "integer" and "number" in kinds)
