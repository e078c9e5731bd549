"""What clients may ask of the form of an answer."""

from typing import Any

import pytest

from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import check, checked_grammar
from raylax.proto.grammar.constraint import Constraint, Kind
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.text.files import TextFiles
from tests.support.checkpoints import write_checkpoint

ARITHMETIC = """start: sum
sum: NUMBER ("+" NUMBER)*
NUMBER: /[0-9]+/"""
GBNF = """root ::= "yes" | maybe
maybe ::= "per" "haps"+"""
ENDLESS = {"$ref": "#/$defs/X", "$defs": {"X": {"allOf": [{"$ref": "#/$defs/X"}]}}}
TAGS: dict[str, Any] = {
    "triggers": ["<call"],
    "structures": [
        {"begin": "<call=look>", "schema": {"type": "boolean"}, "end": "</call>"},
    ],
}


@pytest.fixture(scope="module")
def matchers(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextFiles, Matchers]:
    files = TextFiles(write_checkpoint(tmp_path_factory.mktemp("model")))
    return files, Matchers(lambda: vocabulary_for_grammars(files, 97), 97)


@pytest.mark.parametrize(
    ("kind", "value", "inside", "outside"),
    [
        ("json_schema", {"type": "object"}, '{"a": [1, 2.5, null]}', "[1]"),
        ("json_schema", {"type": "object"}, '{"a": 1, "b": 2}', '{"a":1}'),
        ("json_schema", True, "[{}]", "nothing"),
        ("json_schema", {"$ref": "/$defs/X", "$defs": {"X": {"type": "integer"}}}, "5", '"x"'),
        ("regex", "[a-c]+[0-9]{2}", "abba12", "abba1x"),
        ("choice", ["red", 'say "no"\\'], 'say "no"\\', "blue"),
        ("choice", ["a", "abc", "a", "b\x7f", "\u2028/"], "abc", "c"),
        ("choice", [f"option {at}" for at in range(4096)], "option 4095", "option 4096"),
        ("grammar", ARITHMETIC, "1+22+3", "1-2"),
        ("grammar", GBNF, "perhapshaps", "no"),
        ("structural_tag", TAGS, "well: <call=look>true</call> so", "<call=look>maybe</call>"),
    ],
)
def test_each_kind_allows_what_it_says(
    matchers: tuple[TextFiles, Matchers], kind: Kind, value: Any, inside: str, outside: str
) -> None:
    files, made = matchers
    grammar = grammar_of(Constraint(kind, value, "field"))
    check(grammar, "field")

    def allows(text: str) -> bool:
        return made.matcher(grammar).advance(files.tokenizer().encode(text, False))

    assert allows(inside)
    assert not allows(outside)


def test_json_may_have_other_white_space(matchers: tuple[TextFiles, Matchers]) -> None:
    files, made = matchers
    asked = Constraint("json_schema", {"type": "object"}, "field", whitespace=" {0,2}")
    ids = files.tokenizer().encode('{"a":  1 ,"b":2}', False)

    assert made.matcher(grammar_of(asked)).advance(ids)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("json_schema", {"type": "objekt"}, "Invalid type: objekt"),
        ("json_schema", {"not": {"type": "string"}}, 'Unimplemented keys: ["not"]'),
        ("json_schema", {"$ref": "#/nowhere"}, "#/$ref: '#/nowhere' leads to no place"),
        ("json_schema", {"$ref": "http://a/b"}, "#/$ref: 'http://a/b' leads to no place"),
        ("json_schema", ENDLESS, "no answer can be written in it"),
        ("json_schema", {"type": "integer", "minimum": 5, "maximum": 3}, "Unsatisfiable schema"),
        ("json_schema", {"type": "string", "format": "zorg"}, "Unknown format: zorg"),
        ("json_schema", False, "a schema is an object, found False"),
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around, including look-ahead and look-behind, is not supported"),
        ("choice", [], "must have a text to choose"),
        ("grammar", "", "must not be empty"),
        ("grammar", "start: a b", "unknown name"),
        ("grammar", "root ::= (", "is no grammar"),
        ("structural_tag", {"triggers": ["<"], "structures": [{}]}, "'begin'"),
        ("structural_tag", {"triggers": ["<"], "structures": []}, "tags must not be empty"),
        ("regex", "a" * 200_000, "a grammar may have 131072 bytes, this one has 2000"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(kind: Kind, value: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(grammar_of(Constraint(kind, value, "field")), "field")

    assert caught.value.param == "field"
    assert caught.value.message.startswith("field: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_schema_that_is_not_strict_may_ask_for_what_nobody_enforces() -> None:
    asked = Constraint("json_schema", {"not": {}, "type": "object"}, "field", lenient=True)

    check(grammar_of(asked), "field")


def test_of_tags_the_schema_at_fault_is_named() -> None:
    bad = {"begin": "<call=f>", "schema": {"type": "x"}, "end": ""}
    tags = {"triggers": ["<call"], "structures": [*TAGS["structures"], bad]}

    with pytest.raises(InvalidRequest, match="Invalid type: x") as caught:
        checked_grammar(Constraint("structural_tag", tags, "field"))
    assert caught.value.param == "field.structures.1.schema"


def test_nested_without_end() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}

    with pytest.raises(InvalidRequest, match=r"field: (is nested too deeply|recursion limit)"):
        check(grammar_of(Constraint("json_schema", schema, "field")), "field")
