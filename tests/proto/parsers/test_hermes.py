"""Tool calls in generated text, however it is cut into pieces."""

import json
import re
from collections.abc import Callable

import pytest

from raylax.proto.parsers.base import Content, ToolCall, joined
from raylax.proto.parsers.calls import CallIds, JsonCalls
from raylax.proto.parsers.hermes import HermesToolParser

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def parser(name: str = "c") -> HermesToolParser:
    return HermesToolParser(JsonCalls(CallIds(name), {"get_weather", "f"}))


def body(arguments: str, field: str = "arguments") -> str:
    return f'<tool_call>\n{{"name": "f", "{field}": {arguments}}}\n</tool_call>'


def read(text: str, size: int) -> tuple[str, list[tuple[str, str]]]:
    calls = parser()
    found = [calls.add(text[i : i + size]) for i in range(0, len(text), size)] + [calls.finish()]
    contents = joined(one for part in found for one in part)
    said = "".join(one for one in contents if isinstance(one, str))
    return said, [(one.name, one.arguments) for one in contents if isinstance(one, ToolCall)]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "said", "count"),
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
    text: str, said: str, count: int, size: int
) -> None:
    """What looks like a call and is none is text."""
    heard, calls = read(text, size)

    assert heard == said
    assert calls == [("get_weather", json.dumps({"city": "Paris"}))] * count


def calls_in(text: str) -> list[ToolCall]:
    return [one for one in parser().add(text) if isinstance(one, ToolCall)]


def test_ids_follow_from_the_call() -> None:
    """A replay gives the same ones."""
    first, second = (calls_in(CALL * 2) for _ in range(2))

    assert [call.id for call in first] == [call.id for call in second]
    assert len({call.id for call in first}) == 2
    assert all(re.fullmatch("call_[0-9a-f]{24}", call.id) for call in first)
    assert re.fullmatch("[0-9a-f]{9}", CallIds("c", nine=True)(0))


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("said", "arguments"),
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
    ],
)
def test_calls_as_models_write_them(said: str, arguments: str, size: int) -> None:
    """Arguments are JSON, whatever letters, marks or line breaks are in them."""
    _, calls = read(said, size)

    assert calls == [("f", arguments)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "said",
    [
        body('{"x": NaN}'),
        body('{"x": -Infinity}'),
        body('{"x": 1e999}'),
        body("[1]"),
        body('"here"'),
        body("[" * 99999),
        body('{"x": ' + "[" * 65 + "]" * 65 + "}"),
        body("9" * 5000),
        body("{}").replace('"f"', '"nobody_offered_it"'),
        body('{"x": "never closed}') + "\n and more",
        '<tool_call>{"a" <tool_call>\\" </tool_call> "',
        " \n x \n ",
    ],
)
def test_what_is_no_call_is_given_back(said: str, size: int) -> None:
    """All of it, as it was: calls are always JSON, of functions that were offered."""
    assert read(said, size) == (said, [])


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "<tool_call>",
        '<tool_call>"',
        '<tool_call>{"',
        '<tool_call>\\"</tool_call>',
        '<tool_call>"</tool_call>"',
        '<tool_call>"\\"",</tool_call>',
        "<tool_call>" + '{"name": "f"}' + "</tool_call> ",
        "</tool_cal",
    ],
)
@pytest.mark.parametrize("opening", ["", body("{}"), '<tool_call>{"x": "', "<tool_call>["])
def test_no_text_is_read_often(opening: str, unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model says piece by piece costs as much at its end as at its beginning."""
    work = 0

    def counting(read: Callable[..., str]) -> Callable[..., str]:
        def counted(self: HermesToolParser, text: str, found: list[Content]) -> str:
            nonlocal work
            rest = read(self, text, found)
            work += len(text) - len(rest)
            return rest

        return counted

    for name in ("_read_text", "_read_body"):
        monkeypatch.setattr(HermesToolParser, name, counting(getattr(HermesToolParser, name)))
    text = opening + unit * 2000
    read(text, 7)

    assert work < 6 * len(text)
