"""Calls that are JSON objects with a `name` and `arguments`, or `parameters`."""

from raylax.proto.parsers.base import CallPiece
from raylax.proto.parsers.notation import (
    object_pieces,
    rewritten,
    string,
    value_pieces,
)
from raylax.proto.parsers.source import Deviation, Pieces, Reading, Source, text_of
from raylax.proto.parsers.tools.scanning import ScanningParser

ARGUMENTS = ("arguments", "parameters")


def json_call(parser: ScanningParser) -> Reading[None]:
    """The call that begins here. Of a key that is there twice the first one counts. Arguments are
    told as they come; not those that stand before the name, or in a string."""
    source, call = parser.source, None
    name = early = None
    yield from source.must("{")
    while True:
        yield from source.blank()
        key = yield from string(source)
        yield from source.blank()
        yield from source.must(":")
        yield from source.blank()
        if key == "name" and name is None:
            name = yield from string(source)
            if name not in parser.tools:
                raise Deviation
        elif key in ARGUMENTS and early is None and call is None:
            if name is None:
                early = yield from text_of(argument_pieces(source))
            else:
                begun = yield from source.peek()
                if begun != "{":
                    early = yield from text_of(argument_pieces(source))
                else:
                    call = yield from parser.begin(name)
                    yield from parser.tell(call, argument_pieces(source))
        else:
            yield from text_of(value_pieces(source))
        yield from source.blank()
        if not (yield from source.may(",")):
            break
    yield from source.must("}")
    if name is None:
        raise Deviation
    if call is None:
        call = yield from parser.begin(name)
        yield CallPiece(call, early or "{")
    yield from parser.end(call)


def listed_calls(parser: ScanningParser) -> Reading[None]:
    """The list of calls that begins here."""
    source = parser.source
    yield from source.must("[")
    yield from source.blank()
    yield from json_call(parser)
    while not (yield from source.may_after_blank("]")):
        yield from source.blank()
        yield from source.must(",")
        yield from source.blank()
        yield from json_call(parser)


def argument_pieces(source: Source) -> Pieces:
    """The object that arguments are, without its last brace; null and an empty string are that of
    nothing, and a string may have the object in it."""
    begun = yield from source.peek()
    if begun == "{":
        yield from object_pieces(source)
        return
    if begun == '"':
        text = yield from string(source)
        written = rewritten(text) if text.strip() else "{}"
    else:
        written = yield from text_of(value_pieces(source))
    if written == "null":
        written = "{}"
    if written is None or not written.startswith("{"):
        raise Deviation
    yield written.removesuffix("}")
