"""References in schemas lead to what the reference implementation finds there, and else nowhere."""

import json
import time
from typing import Any

import jsonschema
import pytest

from raylax.proto.parsers.tools.value_kinds import kinds_of_arguments
from raylax.proto.schemas.places import Unresolved
from raylax.proto.schemas.resolved import Resolved

WHOLE: dict[str, Any] = {"type": "integer"}
TEXT: dict[str, Any] = {"type": "string"}
OLD = "http://json-schema.org/draft-04/schema#"
BY_THE_BOOK: list[dict[str, Any]] = [
    {"$ref": "#/$defs/X", "$defs": {"X": WHOLE}},
    {"$ref": "#/$defs/a%20b~1c~0d%25", "$defs": {"a b/c~d%": WHOLE}},
    {"properties": {"a": {"$ref": "#/properties/b"}, "b": WHOLE}},
    {"properties": {"a": {"$ref": "#/properties/b/allOf/1"}, "b": {"allOf": [{}, WHOLE]}}},
    {"$ref": "#x", "$defs": {"X": {"$anchor": "x", **WHOLE}}},
    {"$dynamicRef": "#x", "$defs": {"X": {"$dynamicAnchor": "x", **WHOLE}}},
    {"$ref": "other", "$defs": {"X": {"$id": "other", **WHOLE}}},
    {"$ref": "/other", "$defs": {"X": {"$id": "/other", **WHOLE}}},
    {
        "$id": "http://a.org/b/c.json",
        "allOf": [{"$ref": "/b/d.json"}, {"$ref": "c.json#/$defs/Y"}],
        "properties": {"a": {"$ref": "//a.org/b/d.json#y"}},
        "$defs": {"X": {"$id": "d.json", **WHOLE, "$defs": {"Y": {"$anchor": "y"}}}, "Y": WHOLE},
    },
    {
        "$id": "http://a.org/",
        "$ref": "inner",
        "$defs": {
            "X": {"$id": "inner", "$ref": "#/$defs/Z", "$defs": {"Z": WHOLE}},
            "Z": TEXT,
        },
    },
    {"$id": "urn:example:a", "$ref": "urn:example:a#/$defs/X", "$defs": {"X": WHOLE}},
    {"properties": {"$ref": WHOLE, "$id": TEXT, "a": {"$ref": "#/properties/%24ref"}}},
    {"enum": [{"$ref": "#/nowhere"}, 5], "default": {"$ref": "#/nowhere"}},
    {"type": ["integer", "object"], "properties": {"a": {"$ref": "#"}}},
    {"$ref": "#/$defs/root", "$defs": {"root": {"items": {"$ref": "#"}, "type": "array"}}},
    {"$ref": "#/components/schemas/X", "components": {"schemas": {"X": WHOLE}}},
    {"$defs": {"X": {"$ref": "http://nowhere"}}, **WHOLE},
    {"$schema": OLD, "id": "http://a.org/", "items": {"$ref": "b"}, "not": {"id": "b", **WHOLE}},
    {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"$ref": "#/$defs/B"}, "B": WHOLE}},
]  # fmt: skip
VALUES: list[Any] = [
    5, "x", None, [], [5], ["x"], {}, {"a": 5}, {"a": "x"}, {"a": {"a": 5}}, {"a": {"a": "x"}},
    {"$ref": "x"}, {"$ref": 5}, {"$id": 5}, {"$ref": "#/nowhere"},
]  # fmt: skip


@pytest.mark.parametrize("schema", BY_THE_BOOK, ids=json.dumps)
def test_it_means_what_it_meant(schema: dict[str, Any]) -> None:
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    before, after = kind(schema), jsonschema.Draft202012Validator(Resolved(schema).whole)

    assert [after.is_valid(one) for one in VALUES] == [before.is_valid(one) for one in VALUES]


@pytest.mark.parametrize("schema", BY_THE_BOOK, ids=json.dumps)
def test_every_reference_is_to_a_name_of_its_own(schema: dict[str, Any]) -> None:
    whole = Resolved(schema).whole
    written = json.dumps({key: one for key, one in whole.items() if key not in ("enum", "default")})

    assert all(key not in written for key in ('"$anchor"', '"$dynamicRef"', '"$dynamicAnchor"'))
    for one in written.split('"$ref": "')[1:]:
        assert one.partition('"')[0].removeprefix("#/$defs/") in whole["$defs"]


@pytest.mark.parametrize("written", ["/$defs/X", "$defs/X", "#$defs/X", "/%24defs/X"])
@pytest.mark.parametrize("base", [{}, {"$id": "https://a.org/b/c.json"}, {"$id": "urn:a:b"}])
def test_a_pointer_without_its_sign(written: str, base: dict[str, str]) -> None:
    schema = {**base, "properties": {"a": {"$ref": written}}, "$defs": {"X": WHOLE}}

    whole = Resolved(schema).whole

    assert whole == {"properties": {"a": {"$ref": "#/$defs/X"}}, "$defs": {"X": WHOLE}}


def test_an_id_goes_before_a_pointer_without_its_sign() -> None:
    schema = {"$ref": "/$defs/X", "$defs": {"X": TEXT, "Y": {"$id": "/$defs/X", **WHOLE}}}

    assert Resolved(schema).whole["$defs"] == {"X": WHOLE}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#/$defs/X"}, "#/$ref: '#/$defs/X' leads to no place of this schema"),
        ({"properties": {"a/b": {"$ref": "X"}}}, "#/properties/a~1b/$ref: 'X' leads to no place"),
        ({"allOf": [{}, {"$ref": "#x"}]}, "#/allOf/1/$ref: '#x' leads to no place"),
        ({"items": {"$ref": "http://a/b"}}, "#/items/$ref: 'http://a/b' leads to no place"),
        ({"$ref": "http://[", "http:": {"": {"[": {}}}}, "#/$ref: 'http://[' leads to no place"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "leads to no place"),
        ({"$ref": "#/a/2", "a": [{}, {}]}, "leads to no place"),
        ({"$ref": "#/type", "type": "object"}, "'#/type' leads to what is no schema"),
        ({"$ref": "#"}, "#/$ref: '#' leads to itself"),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/a"}}, "a": {"$ref": "#/$defs/A"}},
            "#/$ref: '#/$defs/A' leads to itself",
        ),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"items": {"$ref": "#/$defs/B"}}}},
            "#/$defs/A/items/$ref: '#/$defs/B' leads to no place",
        ),
        ({"$ref": 5}, "#/$ref: must be a text, found 5"),
    ],
)  # fmt: skip
def test_what_leads_nowhere_is_said_with_its_place(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(Unresolved) as caught:
        Resolved(schema)

    assert said in str(caught.value)


def test_a_dynamic_reference_with_several_targets_stays() -> None:
    inner = {"$id": "inner", "$dynamicAnchor": "x", "items": {"$dynamicRef": "#x"}}
    schema = {"$id": "http://a/b", "$dynamicAnchor": "x", "$ref": "inner", "$defs": {"X": inner}}

    assert Resolved(schema).whole["$defs"]["inner"] == {"items": {"$dynamicRef": "#x"}}


def test_schemas_that_have_each_other_are_followed_to_an_end() -> None:
    both = {"A": {"allOf": [{"$ref": "#/$defs/B"}]}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}}
    resolved = Resolved({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": both})

    assert "allOf" in resolved.followed(resolved.root["properties"]["a"])


def test_many_references_take_no_time_each_of_the_other() -> None:
    """A chain of five thousand, and alternatives in alternatives, ten wide and forty deep: each
    schema is looked at once."""
    chain = {f"x{i}": {"$ref": f"#/$defs/x{i + 1}"} for i in range(5000)}
    wide = {
        f"y{i}": {"anyOf": [{"$ref": f"#/$defs/y{i + 1}"} for _ in range(10)]} for i in range(40)
    }
    schema = {
        "properties": {
            **{f"p{i}": {"$ref": f"#/$defs/x{i}"} for i in range(5000)},
            "wide": {"$ref": "#/$defs/y0"},
        },
        "$defs": {**chain, **wide, "x5000": WHOLE, "y40": TEXT},
    }
    began = time.perf_counter()
    assert len(Resolved(schema).whole["$defs"]) == 5042
    assert kinds_of_arguments(schema)["wide"] == {"string"}

    assert time.perf_counter() - began < 5
