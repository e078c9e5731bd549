"""Tool calls as Python writes them."""

import json

import pytest

from raylax.proto.parsers.base import ToolCall
from raylax.proto.parsers.tools.formats.python_calls import MOST, PythonToolParser
from tests.support.parsing import offered, said


def parser() -> PythonToolParser:
    return PythonToolParser(offered(["look", "add"]))


def found(text: str, size: int) -> list[object]:
    """Texts, and of calls name and arguments."""
    return [
        (one.name, json.loads(one.arguments)) if isinstance(one, ToolCall) else one
        for one in said(parser(), text, size)
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("look()", [("look", {})]),
        (' look( city = "Rome" )\n', [("look", {"city": "Rome"})]),
        ("add(a=-1, b=[1.5, None, {'x': (True,)}])",
         [("add", {"a": -1, "b": [1.5, None, {"x": [True]}]})]),
        ("[look(city='a(b)'), add(a=1)]", [("look", {"city": "a(b)"}), ("add", {"a": 1})]),
        ("""['look(city="Rome")', "add()"]""", [("look", {"city": "Rome"}), ("add", {})]),
    ],
)  # fmt: skip
def test_calls(text: str, calls: list[object], size: int) -> None:
    """Whatever the pieces in which they come."""
    assert found(text, size) == calls


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "look", "look(", "look(1)", "look(city=Rome)", "look(**x)", "look(a=1, a=2)", "x.look()",
        "other(a=1)", "[look(), other()]", "[]", "[look(), 5]", "look() or so", "I look(city='x')",
        "look(a={1})", "(look())", "look(a=" + "(" * 300 + ")", "look(a='\\q')",
        "look(a='" + "x" * MOST + "')", "x" * 300 + "()", "look(a=b'x')",
    ],
)  # fmt: skip
def test_what_is_no_call_stays_text(text: str, size: int) -> None:
    assert found(text, size) == [text]


def test_text_is_given_as_soon_as_it_is_known_to_be_none() -> None:
    reader = parser()

    assert reader.add("The") == []
    assert reader.add(" city") == ["The city"]
    assert reader.add(" look()") == [" look()"]
    assert reader.finish() == []
