"""Calls by grammar, in every format that models write: whatever is drawn, the format's parser finds
calls of offered functions, with arguments that their schemas allow."""

import json
import random
import re
from functools import cache
from typing import Any

import jsonschema
import numpy as np
import pytest

from raylax.proto.calls.forms import form_of
from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import checked_grammar
from raylax.proto.grammar.matcher import Matcher
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.openai.body import validated
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.responses.tools import CustomTool, GrammarFormat
from raylax.proto.parsers.base import ToolCall, whole
from raylax.proto.parsers.tools.formats import TOOL_PARSERS
from raylax.proto.parsers.tools.offered import CallIds, OfferedTools
from raylax.proto.schemas.resolved import Resolved
from raylax.proto.text.files import TextFiles
from tests.support.paths import ROOT

MODEL = ROOT / "deploy" / "demo_model"
VOCAB, END = 512, 2
ENOUGH = 300
"""Tokens, behind which an answer that nobody chose ends what it can."""
LOOK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Rome", 'O"slo', "Šumava"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "exact": {"type": "boolean"},
        "parts": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["city", "days", "exact"],
    "additionalProperties": False,
}
LINE: dict[str, Any] = {
    "type": "grammar",
    "syntax": "lark",
    "definition": r"""start: part{1,3} "z"
part: /[a-c"\\]\t?/ /./ LF?  // of any characters
%import common.LF""",
}
STOP: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "look", "parameters": LOOK}},
    {"type": "function", "function": {"name": "stop", "parameters": STOP}},
]
SCHEMAS = {"look": LOOK, "stop": STOP}
WITHOUT_MARK = {"python", "llama4_pythonic", "glm4"}
"""Formats in which a call begins like any text."""


@pytest.fixture(scope="module")
def files() -> TextFiles:
    """Any text can be written in its tokens."""
    return TextFiles(MODEL)


@pytest.fixture(scope="module")
def matchers(files: TextFiles) -> Matchers:
    return Matchers(lambda: vocabulary_for_grammars(files, VOCAB), VOCAB)


def grammar_for(format: str, **fields: Any) -> str:
    asked = {"messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, **fields}
    body = validated(ChatCompletionRequest, asked)
    return checked_grammar(form_of(body, TOOL_PARSERS[format].FORMAT, {}))


@cache
def closes(files: TextFiles, token: int) -> bool:
    """Whether it ends something."""
    return files.tokenizer().decode([token], skip_special_tokens=False)[:1] in ('"', "]", "}", ")")


def drawn(matcher: Matcher, files: TextFiles, rng: random.Random, most: int = 4000) -> str:
    """A text of the grammar that nobody chose."""
    tokens = list[int]()
    while not matcher.complete and len(tokens) < most:
        mask = matcher.mask()
        assert mask is not None
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        open = np.flatnonzero(bits).tolist()
        if len(tokens) > ENOUGH:
            open = [one for one in open if closes(files, one)] or open
        token = rng.choice(open)
        if token == END:
            break
        tokens.append(token)
        assert matcher.advance([token])
    else:
        assert matcher.complete
    return files.tokenizer().decode(tokens, skip_special_tokens=False)


def calls_in(format: str, text: str) -> list[ToolCall]:
    parser = TOOL_PARSERS[format](OfferedTools(CallIds("x"), SCHEMAS))
    said = whole([*parser.add(text), *parser.finish()])
    assert [one for one in said if not isinstance(one, ToolCall) and str(one).strip()] == []
    return [one for one in said if isinstance(one, ToolCall)]


def check(call: ToolCall) -> None:
    jsonschema.validate(json.loads(call.arguments), SCHEMAS[call.name])


@pytest.mark.parametrize("format", TOOL_PARSERS)
@pytest.mark.parametrize("parallel", [True, False])
def test_a_call_must_be_made(
    files: TextFiles, matchers: Matchers, format: str, parallel: bool
) -> None:
    fields = {"tool_choice": "required", "parallel_tool_calls": parallel}
    grammar, rng, most = grammar_for(format, **fields), random.Random(format), 0
    for _ in range(6):
        calls = calls_in(format, drawn(matchers.matcher(grammar), files, rng))
        most = max(most, len(calls))
        assert calls
        for one in calls:
            check(one)

    assert most == 1 or parallel


@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_one_function_must_be_called(files: TextFiles, matchers: Matchers, format: str) -> None:
    chosen = {"type": "function", "function": {"name": "look"}}
    grammar = grammar_for(format, tool_choice=chosen, parallel_tool_calls=False)
    (call,) = calls_in(format, drawn(matchers.matcher(grammar), files, random.Random(1)))

    assert call.name == "look"
    check(call)


@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_of_allowed_tools_one_must_be_called(
    files: TextFiles, matchers: Matchers, format: str
) -> None:
    stop = {"type": "function", "function": {"name": "stop"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [stop]}}
    grammar = grammar_for(format, tool_choice=allowed)
    calls = calls_in(format, drawn(matchers.matcher(grammar), files, random.Random(1)))

    assert {one.name for one in calls} == {"stop"}


NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"$ref": "#/$defs/Place"},
        "places": {"type": "array", "items": {"$ref": "/$defs/Place"}, "maxItems": 2},
        "colour": {"allOf": [{"$ref": "#/$defs/Colour"}], "description": "of the walls"},
        "perhaps": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}]},
        "count": {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]},
        "kind": {"enum": ["a", 1, None]},
        "tree": {"$ref": "#tree"},
        "other": {"$ref": "other"},
        "number": {"type": "number"},
    },
    "required": ["place", "colour", "perhaps", "count", "kind", "tree", "other", "number"],
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "colour": {"$ref": "#/$defs/Colour"}},
            "required": ["x", "colour"],
        },
        "Colour": {"type": "string", "enum": ["red", "green"]},
        "Tree": {
            "$anchor": "tree",
            "anyOf": [
                {"enum": ["leaf"]},
                {"type": "array", "items": {"$ref": "#tree"}, "minItems": 1, "maxItems": 1},
            ],
        },
        "Other": {"$id": "other", "$ref": "#/$defs/Flag", "$defs": {"Flag": {"type": "boolean"}}},
    },
}


@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_without_strict_arguments_are_what_their_schema_says(
    files: TextFiles, matchers: Matchers, format: str
) -> None:
    """As it is written: names that it leaves open may come, and its references are followed."""
    tool = {"type": "function", "function": {"name": "nest", "parameters": NESTED}}
    grammar = grammar_for(format, tools=[tool], tool_choice="required", parallel_tool_calls=False)
    for seed in range(20):
        text = drawn(matchers.matcher(grammar), files, random.Random(seed))
        parser = TOOL_PARSERS[format](OfferedTools(CallIds("x"), {"nest": NESTED}))
        (call,) = whole([*parser.add(text), *parser.finish()])
        assert isinstance(call, ToolCall)

        jsonschema.Draft202012Validator(Resolved(NESTED).whole).validate(json.loads(call.arguments))


@pytest.mark.parametrize("format", sorted(set(TOOL_PARSERS)))
def test_a_reference_of_a_tool_that_leads_nowhere(format: str) -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/X"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    said = r"tools.1: #/properties/a/\$ref: '#/\$defs/X' leads to no place"
    with pytest.raises(InvalidRequest, match=said):
        grammar_for(format, tools=[TOOLS[1], tool], tool_choice="required")


STRICT = [{**one, "function": {**one["function"], "strict": True}} for one in TOOLS]


@pytest.mark.parametrize("format", sorted(set(TOOL_PARSERS) - WITHOUT_MARK))
def test_a_strict_call_is_text_until_it_begins(
    files: TextFiles, matchers: Matchers, format: str
) -> None:
    """Behind the mark it is held to its schema."""
    grammar, described = grammar_for(format, tools=STRICT), TOOL_PARSERS[format].FORMAT
    opening = (described.first + described.before_name).partition("\n")[0]
    text = described.before_text
    before = "" if text else "Well: "  # text that has a place of its own has none before a call
    ids = files.tokenizer().encode(before + opening, False)
    one = matchers.matcher(grammar)
    assert one.advance(ids)
    called = opening + drawn(one, files, random.Random(2))

    for call in calls_in(format, called):
        check(call)
    no_call = files.tokenizer().encode(f"{text}No call: {{[<", False)
    assert matchers.matcher(grammar).advance(no_call)


@pytest.mark.parametrize("format", sorted(WITHOUT_MARK))
def test_where_calls_have_no_mark_strict_ones_must_be_forced(format: str) -> None:
    with pytest.raises(InvalidRequest, match="^tools: calls of this model begin with no mark"):
        grammar_for(format, tools=STRICT)


def test_beside_tools_an_answer_may_have_a_form(files: TextFiles, matchers: Matchers) -> None:
    grammar = grammar_for("hermes", guided_json={"enum": ["yes"]})

    def allows(text: str) -> bool:
        return matchers.matcher(grammar).advance(files.tokenizer().encode(text, False))

    assert allows('"yes"')
    assert allows('<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>')
    assert not allows("well")


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"tool_choice": "any"}, "tool_choice", "must be auto, none, required, a function, or"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            "'f' is none of the tools: look, stop",
        ),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", "there are none"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools", "1 has the name of another one, 'look'"),
        ({"guided_regex": "a"}, "tools", "beside tools an answer may be JSON or text"),
        (
            {
                "tool_choice": "required",
                "tools": [
                    TOOLS[1],
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "x"}}},
                ],
            },
            "tools.1",
            "Invalid type: x",
        ),
        (
            {
                "tool_choice": "required",
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "null"}}}
                ],
            },
            "tools.0",
            "type: arguments are an object, found 'null'",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "strict": True,
                            "parameters": {"properties": {"a": {"not": {}}}},
                        },
                    }
                ]
            },
            "tools.0",
            'Unimplemented keys: ["not"]',
        ),
    ],
)
def test_what_cannot_be_called(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        grammar_for("hermes", **fields)

    assert caught.value.param == param
    assert said in caught.value.message


@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_a_text_has_its_own_form(files: TextFiles, matchers: Matchers, format: str) -> None:
    """Read back it is what the form says, however the format writes a text."""
    one = CustomTool(type="custom", name="look", format=GrammarFormat(**LINE)).for_chat("tools.0")
    asked = {"messages": [{"role": "user", "content": "hi"}], "tool_choice": "required"}
    body = validated(ChatCompletionRequest, {**asked, "parallel_tool_calls": False, "tools": [one]})
    grammar = checked_grammar(form_of(body, TOOL_PARSERS[format].FORMAT, {}))
    for seed in range(8):
        text = drawn(matchers.matcher(grammar), files, random.Random(seed))
        parser = TOOL_PARSERS[format](OfferedTools(CallIds("x"), {"look": one.function.parameters}))
        (call,) = whole([*parser.add(text), *parser.finish()])
        assert isinstance(call, ToolCall)
        assert re.fullmatch(r'([a-c"\\]\t?.\n?){1,3}z', json.loads(call.arguments)["input"])


@pytest.mark.parametrize("format", ["qwen3_coder", "llama4_pythonic"])
@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "x+"}}}, "a: pattern cannot"),
        ({"properties": {"a": {"enum": ["b", "cd"], "minLength": 2}}}, "a: minLength cannot"),
        ({"properties": {"a": {"minimum": 2}}}, "a: minimum cannot be"),
        ({"properties": {}, "minProperties": 1}, "parameters: minProperties cannot be"),
        ({"properties": {"a": {}}, "required": ["b"]}, "parameters: required has 'b', which is no"),
    ],
)
def test_what_arguments_that_are_no_json_cannot_be_held_to_is_said(
    format: str, schema: dict[str, Any], said: str
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    with pytest.raises(InvalidRequest, match=f"^tools.0: {said}"):
        grammar_for(format, tools=[tool], tool_choice="required")


@pytest.mark.parametrize("inner", [{"uniqueItems": True}, {"prefixItems": [{}]}])
def test_what_lists_of_python_cannot_be_held_to_is_said(inner: dict[str, Any]) -> None:
    schema = {"properties": {"a": {"type": ["array", "null"], "maxItems": 2, **inner}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    with pytest.raises(InvalidRequest, match=f"^tools.0: a: {next(iter(inner))} cannot be"):
        grammar_for("llama4_pythonic", tools=[tool], tool_choice="required")


ODD_NAMES = ["", "a b", 'a"b', "a\\b", "a\nb", "f(", "<f>", "x" * 257]
ODD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "from": {"enum": ["1", 1, "null", "", "</parameter></arg_value>", "x y"]},
        "Content-Type": {"enum": ["a/b", 2.5, None], "type": ["string", "null"]},
        "class": {"enum": ["x", 2, 3.0], "type": "integer"},
        "either": {"anyOf": [{"enum": ["7", "seven"]}, {"const": 7}]},
    },
    "required": ["from", "Content-Type", "class", "either"],
    "additionalProperties": False,
}
"""Names that are none in Python, values that look like others, some that are not of the type."""


@pytest.mark.parametrize("name", ["get-weather.v2", "ns:look/it", "3d", "größe", *ODD_NAMES])
@pytest.mark.parametrize("format", TOOL_PARSERS)
def test_functions_and_arguments_have_names_of_all_kinds(
    files: TextFiles, matchers: Matchers, format: str, name: str
) -> None:
    """Those that are not in quotes less so, which is said."""
    tool = {"type": "function", "function": {"name": name, "parameters": ODD}}
    asked: dict[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False}
    if name in ODD_NAMES and not TOOL_PARSERS[format].FORMAT.quotes_names:
        with pytest.raises(InvalidRequest, match=r"^tools\.0: name: this model's calls have names"):
            grammar_for(format, tools=[tool], **asked)
        return
    grammar = grammar_for(format, tools=[tool], **asked)
    for seed in range(4):
        text = drawn(matchers.matcher(grammar), files, random.Random(seed))
        parser = TOOL_PARSERS[format](OfferedTools(CallIds("x"), {name: ODD}))
        (call,) = whole([*parser.add(text), *parser.finish()])
        assert isinstance(call, ToolCall)

        assert call.name == name
        jsonschema.validate(json.loads(call.arguments), ODD)


@pytest.mark.parametrize("format", ["qwen3_coder", "glm45", "llama4_pythonic", "python"])
def test_an_argument_whose_name_cannot_be_written(
    files: TextFiles, matchers: Matchers, format: str
) -> None:
    """It is left out, or the call cannot be made."""
    odd = {"type": "object", "properties": {"<a>": {"type": "null"}, "b": {"const": 1}}}

    def grammar(**fields: Any) -> str:
        tool = {"type": "function", "function": {"name": "f", "parameters": {**odd, **fields}}}
        return grammar_for(format, tools=[tool], tool_choice="required", parallel_tool_calls=False)

    text = drawn(matchers.matcher(grammar(required=["b"])), files, random.Random(1))
    parser = TOOL_PARSERS[format](OfferedTools(CallIds("x"), {"f": odd}))
    (call,) = whole([*parser.add(text), *parser.finish()])
    assert isinstance(call, ToolCall)

    assert json.loads(call.arguments) == {"b": 1}
    with pytest.raises(InvalidRequest, match=r"^tools\.0: '<a>': no argument of this model's"):
        grammar(required=["<a>"])


@pytest.mark.parametrize("format", ["qwen3_coder", "llama4_pythonic"])
def test_values_of_another_type_than_is_said_are_none(format: str) -> None:
    schema = {"properties": {"a": {"enum": ["x"], "type": "integer"}}, "required": ["a"]}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(InvalidRequest, match=r"^tools\.0: type: none of the values is of it"):
        grammar_for(format, tools=[tool], tool_choice="required")
