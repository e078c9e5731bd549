"""Values that are written bare, and what they stand for."""

import json
from typing import Any

import pytest

from raylax.proto.parsers.base import CallPiece
from raylax.proto.parsers.tools.formats.qwen3_coder import Qwen3CoderToolParser
from raylax.proto.parsers.tools.pairs import typed
from raylax.proto.parsers.tools.value_kinds import kinds_of_arguments
from tests.support.parsing import offered

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
DEFS = {"Text": TEXT, "Whole": WHOLE, "Itself": {"anyOf": [WHOLE, {"$ref": "#/$defs/Itself"}]}}


@pytest.mark.parametrize(
    ("schema", "written", "value"),
    [
        (TEXT, "5", "5"),
        (TEXT, '{"a": 1}', '{"a": 1}'),
        (NUMBER, "5", 5),
        (NUMBER, " 5.5\n", 5.5),
        (NUMBER, "five", "five"),
        (WHOLE, "-5", -5),
        ({"type": "boolean"}, "True", True),
        ({"type": "array"}, "[1, {'a': None}]", [1, {"a": None}]),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "5", "5"),
        ({"anyOf": [TEXT, WHOLE]}, "5", 5),
        ({"anyOf": [TEXT, WHOLE]}, "5.5", "5.5"),
        ({"anyOf": [TEXT, WHOLE]}, "5e1", 50.0),
        ({"anyOf": [TEXT, NUMBER]}, "5", 5),
        ({"anyOf": [TEXT, {"$ref": "#/x"}]}, "true", True),
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"const": 1}, "1", 1),
        ({"enum": ["1", 2]}, "2", 2),
        ({"$ref": "#/$defs/Text"}, "5", "5"),
        ({"allOf": [{"$ref": "/$defs/Text"}], "description": "of a city"}, "5", "5"),
        ({"anyOf": [{"$ref": "#/$defs/Text"}, {"type": "null"}]}, "null", None),
        ({"$ref": "#/$defs/Itself"}, "five", "five"),
        ({"properties": {"b": TEXT}}, "{'b': 'c'}", {"b": "c"}),
        (None, "5", 5),
        (None, "None", "None"),
        (None, '"x"', '"x"'),
        (None, "some text\n", "some text\n"),
    ],
)
def test_the_schema_says_what_a_value_is(schema: Any, written: str, value: Any) -> None:
    """Where it does not, or the value is none of that, what looks like JSON is that, and all else a
    text."""
    whole = {"properties": {"a": schema}, "$defs": DEFS}
    found = json.loads(typed(written, kinds_of_arguments(whole).get("a", frozenset())))

    assert (found, type(found)) == (value, type(value))


def test_a_text_streams_without_its_own_lines() -> None:
    reader = Qwen3CoderToolParser(offered(f={"properties": {"x": TEXT}}))
    texts = "<function=f>\n", "<parameter=x>\n", "one", "\n", "\ntwo\n</", "parameter></function>"
    told = [
        "".join(one.arguments for one in reader.add(text) if isinstance(one, CallPiece))
        for text in texts
    ]

    assert told == ["{", '"x": "', "one", "", "\\n\\ntwo", '"}']
