"""What every parser of tool calls keeps to, however its text is cut."""

import json
import random
import sys
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylax.proto.parsers.base import CallBroken, CallPiece, Content, ToolCall, joined, whole
from raylax.proto.parsers.tools.formats import TOOL_PARSERS
from raylax.proto.parsers.tools.formats.harmony import HarmonyParser
from raylax.proto.parsers.tools.kind import ToolParserKind
from raylax.proto.parsers.tools.offered import OfferedTools
from tests.support.parsing import calls_in, offered, read, text_in, written

TEXTS = ["", "plain text", "a < b, <b>c</b> and {", " white \n space ", "<", "\n", "[", "f ("]
BITS = (
    *' \n"\\{}[],:;=()', "f", "g", "name", "arguments", '{"name": "f", "arguments": {', '"x": ',
    "1", "1e999", "NaN", '"é\\u00e9"', "\\ud83d", "</", "</parameter>", "text",
)  # fmt: skip
LETTERS = st.text(st.sampled_from("ab é\n'\"\\/{}<"), max_size=6)
KEYS = st.sampled_from(["city", "days", "x_1"])
SCHEMA = {"properties": {"city": {"type": "string"}, "days": {"type": "array"}, "x_1": {"anyOf": [
    {"type": ["null", "boolean"]}, {"type": "number"}, {"type": "object"},
]}}}  # fmt: skip
"""Formats without quotes tell texts and other values apart by this alone."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**9) | st.just(1.5) | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)
ARGUMENTS = st.fixed_dictionaries({}, optional={
    "city": LETTERS,
    "days": st.lists(VALUES, max_size=3),
    "x_1": VALUES.filter(lambda value: not isinstance(value, str | list)),
})  # fmt: skip
NAMES = st.sampled_from(["f", "get_weather"])
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3)


def functions() -> OfferedTools:
    return offered(f=SCHEMA, get_weather=SCHEMA)


each_kind = pytest.mark.parametrize("kind", TOOL_PARSERS.values(), ids=[*TOOL_PARSERS])


@st.composite
def texts(draw: st.DrawFn, kind: ToolParserKind) -> str:
    """Calls, marks, and bits of either, in any order."""
    marks = st.sampled_from([*kind.MARKS, kind.FORMAT.before_name, kind.FORMAT.after_name, "f"])
    calls = CALLS.map(lambda calls: written(kind.FORMAT, calls))
    cut_calls = st.tuples(calls, st.integers(0, 60)).map(lambda one: one[0][: one[1]])
    pieces = st.lists(calls | cut_calls | marks | st.sampled_from(BITS), max_size=8)
    return "".join(draw(pieces))


def cut(text: str, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(len(text) + 1) for _ in range(rng.randrange(8))]


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("text", TEXTS)
@each_kind
def test_text_without_calls_stays_as_it_is(kind: ToolParserKind, text: str, size: int) -> None:
    assert read(kind(functions()), text, size) == joined([text])


@each_kind
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1 << 30))
def test_cuts_make_no_difference(kind: ToolParserKind, data: st.DataObject, seed: int) -> None:
    """Nor does it matter whether an answer is streamed: deltas joined are the whole."""
    text = data.draw(texts(kind))
    at_once = read(kind(functions()), text, [])

    assert read(kind(functions()), text, cut(text, seed)) == at_once
    assert read(kind(functions()), text, 1) == at_once
    check_calls(at_once)
    if not calls_in(whole(at_once)) and kind is not HarmonyParser:  # whose text has headers, too
        assert text_in(whole(at_once)) == text


def check_calls(found: tuple[Content, ...]) -> None:
    """Calls are JSON objects, of one form; one that broke is no JSON. They are counted."""
    calls = [one for one in whole(found) if isinstance(one, ToolCall)]
    broken = [one.index for one in found if isinstance(one, CallBroken)]
    for call in calls:
        value = json.loads(call.arguments)
        assert isinstance(value, dict) and call.name in functions()
        if call.arguments.count(":") == len(value):  # no key is there twice
            assert call.arguments == json.dumps(value, ensure_ascii=False)
    for index in broken:
        pieces = [o.arguments for o in found if isinstance(o, CallPiece) and o.index == index]
        with pytest.raises(ValueError):
            json.loads("".join(pieces))
    assert sorted([*broken, *(call.index for call in calls)]) == list(
        range(len(calls) + len(broken))
    )
    assert len({call.id for call in calls}) == len(calls)


@each_kind
@settings(max_examples=40, deadline=None)
@given(calls=CALLS, seed=st.integers(0, 1 << 30))
def test_what_is_written_as_the_format_says_is_read(
    kind: ToolParserKind, calls: list[tuple[str, dict[str, Any]]], seed: int
) -> None:
    """All calls, with their arguments, and nothing else."""
    text = written(kind.FORMAT, calls)
    found = whole(read(kind(functions()), text, cut(text, seed)))

    assert [(name, json.loads(arguments)) for name, arguments in calls_in(found)] == calls
    assert text_in(found) == ""


@each_kind
def test_what_may_be_special_tokens_are_marks(kind: ToolParserKind) -> None:
    """Else they would not be in the text that is read; and the format has them."""
    format = kind.FORMAT
    around = (
        format.first + format.before_name + format.after_name + format.after_arguments
        + format.between + format.last + "".join(astuple(format.pairs) if format.pairs else ())
    )  # fmt: skip

    assert set(format.special) <= set(kind.MARKS)
    assert all(mark in around for mark in format.special)


@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_a_number_beyond_all_floats_is_the_largest_one(format: str) -> None:
    """Grammars of JSON have no end of numbers: a call that must be made stays one."""
    described = TOOL_PARSERS[format].FORMAT
    written = {
        "json": '{"a": -2e445648786}',
        "python": "a=-2e445648786",
        "pairs": "".join(
            [described.pairs.before_key, "a", described.pairs.after_key]
            + ["-2e445648786", described.pairs.after_value]
        )
        if described.pairs
        else "",
    }[described.arguments]
    text = (
        described.first + described.before_name + "f" + described.after_name + written
        + described.after_arguments + described.last
    )  # fmt: skip
    parser = TOOL_PARSERS[format](offered(f={"properties": {"a": {"type": "number"}}}))
    (call,) = whole([*parser.add(text), *parser.finish()])
    assert isinstance(call, ToolCall)

    assert json.loads(call.arguments) == {"a": -sys.float_info.max}
