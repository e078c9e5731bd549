"""Values as models write them, in JSON or in Python's way, made JSON of one form while they come.

The pieces, joined, are what `json.dumps(value, ensure_ascii=False)` writes. Strings may have line
breaks as they are, and a number beyond all floats is the largest one. What is no value raises
Deviation, and so do objects that are nested deeper than JSON's writers go.
"""

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raylax.proto.parsers.source import Deviation, Pieces, Source, Waiting, text_of

DEEPEST = 64
LARGEST = sys.float_info.max
LONGEST_BARE = 4096
"""Letters of a number, which is held until it ends."""
BARE = re.compile(r"[-+.0-9A-Za-z]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}
HEX = re.compile("[0-9a-fA-F]+")
BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Notation:
    """How values are written."""

    words: Mapping[str, str]
    """Those that stand for values, and how JSON has them."""
    letters: Mapping[str, str]
    """Behind a backslash, and what they mean."""
    digits: Mapping[str, int]
    """Behind a backslash: letters, and how many hexadecimal digits of a character follow."""
    quotes: str
    trailing_comma: bool
    """Whether one may stand behind the last of several."""


ESCAPES = {'"': '"', "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"true": "true", "false": "false", "null": "null"}
JSON = Notation(WORDS, {**ESCAPES, "/": "/"}, {"u": 4}, '"', False)
PYTHON = Notation(
    {**WORDS, "True": "true", "False": "false", "None": "null"},
    {**ESCAPES, "'": "'", "a": "\a", "v": "\v", "0": "\0"},
    {"x": 2, "u": 4, "U": 8},
    "\"'",
    True,
)


def object_pieces(source: Source, notation: Notation = JSON, room: int = DEEPEST) -> Pieces:
    """The object that begins here, all but its last brace. `room`: how deep it may be nested."""
    yield from begun(source, "{", room)
    yield "{"
    between = ""
    while not (yield from ended(source, "}", notation, between)):
        yield between
        yield from string_pieces(source, notation)
        yield from source.blank()
        yield from source.must(":")
        yield from source.blank()
        yield ": "
        yield from value_pieces(source, notation, room - 1)
        between = ", "


def list_pieces(source: Source, notation: Notation, room: int) -> Pieces:
    """The list that begins here."""
    yield from begun(source, "[", room)
    yield "["
    between = ""
    while not (yield from ended(source, "]", notation, between)):
        yield between
        yield from value_pieces(source, notation, room - 1)
        between = ", "
    yield "]"


def begun(source: Source, bracket: str, room: int) -> Waiting[None]:
    """Reads the bracket, and what is blank behind it."""
    if room <= 0:
        raise Deviation
    yield from source.must(bracket)
    yield from source.blank()


def ended(source: Source, bracket: str, notation: Notation, between: str) -> Waiting[bool]:
    """Whether the bracket follows, after the comma where there must be one, or may be."""
    yield from source.blank()
    if (yield from source.may(bracket)):
        return True
    if not between:
        return False
    yield from source.must(",")
    yield from source.blank()
    return notation.trailing_comma and (yield from source.may(bracket))


def value_pieces(source: Source, notation: Notation = JSON, room: int = DEEPEST) -> Pieces:
    """Any value."""
    letter = yield from source.peek()
    if letter == "{":
        yield from object_pieces(source, notation, room)
        yield "}"
    elif letter == "[":
        yield from list_pieces(source, notation, room)
    elif letter and letter in notation.quotes:
        yield from string_pieces(source, notation)
    else:
        yield from bare_pieces(source, notation)


def bare_pieces(source: Source, notation: Notation) -> Pieces:
    """A number, or a word that stands for a value: known once it has ended."""
    begin = yield from source.peek()
    if not BARE.match(begin):
        raise Deviation
    while True:
        found = BARE.match(source.rest)
        assert found is not None
        size = found.end()
        if size > LONGEST_BARE:
            raise Deviation
        if size < len(source.rest) or source.ended:
            break
        yield None
    bare = source.rest[:size]
    written = notation.words.get(bare) or number(bare)
    if written is None:
        raise Deviation
    source.advance(size)
    yield written


def number(text: str) -> str | None:
    """The number as JSON has it, beyond all floats the largest of them; None for what is none."""
    found = NUMBER.fullmatch(text)
    if found is None:
        return None
    if not (found[1] or found[2]):
        return str(int(text))
    return json.dumps(min(max(float(text), -LARGEST), LARGEST))


def string_pieces(source: Source, notation: Notation = JSON) -> Pieces:
    """A string, in its quotes."""
    quote = yield from source.peek()
    if not quote or quote not in notation.quotes:
        raise Deviation
    source.advance(1)
    yield '"'
    while not (yield from source.may(quote)):
        yield quoted(source.match(PLAIN[quote]))
        if (yield from source.peek()) == "\\":
            yield quoted((yield from escaped(source, notation)))
        elif not source.rest:
            raise Deviation
    yield '"'


def escaped(source: Source, notation: Notation) -> Waiting[str]:
    """What a backslash and the letters behind it mean."""
    kind = (yield from source.peek(2))[1:]
    if (letter := notation.letters.get(kind)) is not None:
        source.advance(2)
        return letter
    code = yield from code_of(source, notation)
    if not 0xD800 <= code < 0xE000:
        return chr(code)
    low = 0
    if code < 0xDC00 and (yield from source.peek(2)) == "\\u":
        low = yield from code_ahead(source, 4)
    if not 0xDC00 <= low < 0xE000:
        return BROKEN
    source.advance(6)
    return chr(0x10000 + (code - 0xD800 << 10) + low - 0xDC00)


def code_of(source: Source, notation: Notation) -> Waiting[int]:
    """Reads an escape with the digits of a character, and tells its number."""
    kind = (yield from source.peek(2))[1:]
    digits = notation.digits.get(kind, 0)
    code = (yield from code_ahead(source, digits)) if digits else -1
    if not 0 <= code <= 0x10FFFF:
        raise Deviation
    source.advance(2 + digits)
    return code


def code_ahead(source: Source, digits: int) -> Waiting[int]:
    """The same, not yet read; -1 for what is none."""
    written = (yield from source.peek(2 + digits))[2:]
    return int(written, 16) if len(written) == digits and HEX.fullmatch(written) else -1


def quoted(text: str) -> str:
    """The text as it stands within quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def string(source: Source, notation: Notation = JSON) -> Waiting[str]:
    """A string's text, once it has ended."""
    written = yield from text_of(string_pieces(source, notation))
    text = json.loads(written)
    assert isinstance(text, str)
    return text


def strict_json(text: str) -> Any:
    """The value of JSON, in whose strings line breaks may stand as they are. Raises ValueError,
    also for NaN and numbers beyond all floats."""
    return json.loads(text, strict=False, parse_constant=no_number, parse_float=finite)


def no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else no_number(text)


def rewritten(text: str, notation: Notation = JSON) -> str | None:
    """A text that is one value, white space around it, as JSON; None if it is none."""
    source, found = Source(), list[str]()
    source.add(text.strip())
    source.ended = True
    try:
        found += [one for one in value_pieces(source, notation) if one is not None]
    except Deviation:
        return None
    return None if source.rest else "".join(found)
