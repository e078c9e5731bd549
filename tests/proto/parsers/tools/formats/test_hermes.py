"""Tool calls in generated text, however it is cut into pieces."""

import json
import re

import pytest

from raylax.proto.parsers.base import CallBegun, CallBroken, CallEnded, CallPiece, joined
from raylax.proto.parsers.source import Source
from raylax.proto.parsers.tools.formats.hermes import HermesToolParser
from raylax.proto.parsers.tools.offered import CallIds
from tests.support.parsing import calls_in, offered, read, said, text_in

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def parser() -> HermesToolParser:
    return HermesToolParser(offered())


def body(arguments: str, field: str = "arguments") -> str:
    return f'<tool_call>\n{{"name": "f", "{field}": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "left", "count"),
    [
        ("plain text, a < b", "plain text, a < b", 0),
        (CALL, "", 1),
        (f"Let me look. {CALL}{CALL}", "Let me look. ", 2),
        (f"{CALL}\n{CALL} done", " done", 2),
        ("<tool_call>not JSON</tool_call>", "<tool_call>not JSON</tool_call>", 0),
        ('<tool_call>{"name": 1}</tool_call>x', '<tool_call>{"name": 1}</tool_call>x', 0),
        ("an open <tool_call>{", "an open <tool_call>{", 0),
        (CALL.removesuffix("</tool_call>"), "", 1),
        ("ends with <tool_", "ends with <tool_", 0),
    ],
)
def test_calls_are_taken_out_and_all_else_stays(
    text: str, left: str, count: int, size: int
) -> None:
    """What looks like a call and is none is text."""
    found = said(parser(), text, size)

    assert text_in(found) == left
    assert calls_in(found) == [("get_weather", json.dumps({"city": "Paris"}))] * count


def test_ids_follow_from_the_call() -> None:
    """A replay gives the same ones."""
    ids = [one.id for one in read(parser(), CALL * 2, 5) if isinstance(one, CallBegun)]

    assert len(set(ids)) == 2
    assert all(re.fullmatch("call_[0-9a-f]{24}", id) for id in ids)
    assert [CallIds("c")(index) for index in range(2)] == ids
    assert re.fullmatch("[0-9a-f]{9}", CallIds("c", nine=True)(0))


def test_arguments_stream_as_they_come() -> None:
    """A call is told as soon as its arguments begin; their last brace comes with its end."""
    reader, heard = parser(), []
    for text in ('<tool_call>{"name": "f"', ', "arguments": ', '{"x"', ': "on', 'e"}', "}"):
        heard.append(joined(reader.add(text)))

    assert heard[:2] == [(), ()]
    assert [type(one) for one in heard[2]] == [CallBegun, CallPiece]
    told = [one.arguments for part in heard for one in part if isinstance(one, CallPiece)]
    assert told == ['{"x"', ': "on', 'e"', "}"]
    assert heard[-1][-1] == CallEnded(0)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (body('{"x": NaN}'), '{"x": '),
        (body('{"x": ' + "[" * 64 + "]" * 64 + "}"), '{"x": ' + "[" * 63),
        (body('{"x": 1, }'), '{"x": 1, '),
        (body('{"x": "never closed}') + "\n and more", None),
        (CALL.removesuffix("}\n</tool_call>"), '{"city": "Paris"'),
    ],
)
def test_a_call_that_breaks(text: str, told: str | None, size: int) -> None:
    """What was told of it is no JSON; a whole answer has it as the text that the model wrote."""
    found = read(parser(), text, size)

    pieces = "".join(one.arguments for one in found if isinstance(one, CallPiece))
    assert pieces == told or told is None
    assert [type(one) for one in found if isinstance(one, CallEnded | CallBroken)] == [CallBroken]
    assert said(parser(), text, size) == (text,)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (body('{"x": "Zürich 日本 😀"}'), '{"x": "Zürich 日本 😀"}'),
        (body('{"x": "say </tool_call> \\\\"}'), '{"x": "say </tool_call> \\\\"}'),
        (body('{"x": "\\\\\\"</tool_call>"}'), '{"x": "\\\\\\"</tool_call>"}'),
        (body('{"x": "one\ntwo\tthree"}'), '{"x": "one\\ntwo\\tthree"}'),
        (body('{"x": 1}', "parameters"), '{"x": 1}'),
        (body("null"), "{}"),
        (body('""'), "{}"),
        (body('"{\\"x\\": 1}"'), '{"x": 1}'),
        (body('{"x": "\\ud800"}'), '{"x": "\ufffd"}'),
        (body('{"x": "\\ud83d\\ude00"}'), '{"x": "😀"}'),
        (body('{"x": 1}').replace("</tool_call>", "</tool_"), '{"x": 1}'),
        (f"<tool_call>{{<tool_call>{body('{}')}", "{}"),
        ('<tool_call>{"arguments": {"x": 1}, "id": [2], "name": "f"}</tool_call>', '{"x": 1}'),
        ('<tool_call>{"name": "f", "name": "g", "arguments": {}, "parameters": 1}', "{}"),
        (body('{"x": [1.0, -0, 1E2, true, {}, []]}'), '{"x": [1.0, 0, 100.0, true, {}, []]}'),
    ],
)
def test_calls_as_models_write_them(text: str, arguments: str, size: int) -> None:
    """Arguments are JSON, whatever letters, marks or line breaks are in them."""
    assert calls_in(said(parser(), text, size)) == [("f", arguments)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        body("[1]"),
        body('"here"'),
        body("[" * 99999),
        body("9" * 5000),
        body("{}").replace('"f"', '"nobody_offered_it"'),
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"a" <tool_call>\\" </tool_call> "',
        " \n x \n ",
    ],
)
def test_what_is_no_call_is_given_back(text: str, size: int) -> None:
    """All of it, as it was: calls are always JSON, of functions that were offered."""
    assert read(parser(), text, size) == (text,)


def test_blanks_before_a_call_that_breaks_are_text_with_it() -> None:
    """Only before one that is whole they belong to the format."""
    broken = body('{"x": oops}')

    assert text_in(said(parser(), CALL + "\n\n" + broken, 1)) == "\n\n" + broken
    assert text_in(said(parser(), CALL + "\n\n" + CALL + "\n", 1)) == ""


def test_a_brace_too_many_breaks_no_call() -> None:
    """It is text, as all that follows a call and is no mark."""
    found = said(parser(), CALL.replace("}}", "}}}"))

    assert calls_in(found) == [("get_weather", '{"city": "Paris"}')]
    assert text_in(found) == "}\n</tool_call>"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "<tool_call>",
        '<tool_call>"',
        '<tool_call>{"',
        '<tool_call>\\"</tool_call>',
        '<tool_call>{"name": "f", "x": "',
        "<tool_call>" + '{"name": "f"}' + "</tool_call> ",
        "</tool_cal",
    ],
)
@pytest.mark.parametrize("opening", ["", body("{}"), '<tool_call>{"x": "', body('{"x": "')[:-14]])
def test_no_text_is_read_often(opening: str, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model says piece by piece costs as much at its end as at its beginning."""
    work = 0
    text = opening + unit * 2000

    def counted(self: Source, count: int) -> str:
        nonlocal work
        work += count
        return advance(self, count)

    def moved(self: Source, more: str) -> None:
        nonlocal work
        add(self, more)
        work += len(self.rest)

    advance, add = Source.advance, Source.add
    monkeypatch.setattr(Source, "advance", counted)
    monkeypatch.setattr(Source, "add", moved)
    read(parser(), text, 7)

    assert len(text) <= work < 8 * len(text)
