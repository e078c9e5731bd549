"""JSON schemas that no answer can be held to, with what the error names."""

from typing import Any

from tests.support.schemas import FLAG, NUMBER, SEVENTH, WHOLE

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    keyword: ({keyword: value}, keyword)
    for keyword, value in {
        "contains": WHOLE,
        "minContains": 1,
        "maxContains": 1,
        "uniqueItems": True,
        "unevaluatedItems": False,
        "propertyNames": {"maxLength": 3},
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"a": {"required": ["b"]}},
        "dependencies": {"a": ["b"]},
        "unevaluatedProperties": False,
        "not": WHOLE,
        "if": WHOLE,
        "then": {"minimum": 3},
        "else": FLAG,
        "$dynamicRef": "#a",
        "$recursiveRef": "#",
        "format": "iri",
        "oneOf": [WHOLE, {"minimum": 3}],
        "minProperties": 2,
        "multipleOf": 0,
        "exclusiveMinimum": True,
        "exclusiveMaximum": True,
        "minLength": -1,
        "type": "text",
        "required": "a",
    }.items()
} | {
    "another place": (
        {"$ref": "https://elsewhere.test/a"},
        "'https://elsewhere.test/a' leads to no place",
    ),
    "what looks ahead": ({"pattern": "^(?=a)"}, "look-around"),
    "an older draft": (
        {"$schema": SEVENTH, "dependentRequired": {"a": ["b"]}},
        "dependentRequired",
    ),
    "an own dialect": ({"$schema": "https://own.test/", "contains": WHOLE}, "contains"),
    "within": ({"properties": {"a": {"items": {"not": {}}}}}, "not"),
    "what cannot be counted": ({"required": ["a"], "minProperties": 3}, "minProperties"),
    "a large number": ({"const": (1 << 53) + 1}, "const"),
    "large numbers": ({"enum": [{"a": [1e30]}]}, "enum"),
    "a large bound": ({"minimum": (1 << 53) + 1}, "minimum"),
    "a low bound": ({"exclusiveMaximum": -1e30}, "exclusiveMaximum"),
    "large steps": ({"allOf": [{"multipleOf": 65536}, {"multipleOf": 65537}]}, "multipleOf"),
    "small steps": ({"allOf": [{"multipleOf": 0.0007}, {"multipleOf": 1000003}]}, "multipleOf"),
    "characters by their number": ({"const": "a\x01"}, "const"),
    "sets in sets": ({"pattern": "^[a[b]]$"}, "pattern"),
    "sets of both": ({"patternProperties": {"[a-z&&[b]]": FLAG}}, "pattern"),
    "an empty set": ({"pattern": "[]a]"}, "pattern"),
    "two kinds of tuples": ({"items": [FLAG], "prefixItems": [WHOLE]}, "items"),
    "patterns that overlap": ({"patternProperties": {"a": FLAG, "b": WHOLE}}, "patternProperty"),
    "what turns checks off": (
        {"x-guidance": {"coerce_one_of": True}, "oneOf": [WHOLE, NUMBER]},
        "oneOf",
    ),
}
