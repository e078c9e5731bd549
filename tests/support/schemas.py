"""JSON schemas of every keyword from draft 7 to 2020-12 that an answer can be held to."""

from typing import Any

OBJECT: dict[str, Any] = {"type": "object"}
CLOSED: dict[str, Any] = {**OBJECT, "additionalProperties": False}
NUMBER, TEXT, LIST = {"type": "number"}, {"type": "string"}, {"type": "array"}
FLAG, WHOLE = {"type": "boolean"}, {"type": "integer"}
SHORT = {**TEXT, "maxLength": 3}
SEVENTH = "http://json-schema.org/draft-07/schema#"
Schemas = dict[str, dict[str, Any]]


def patterns(*written: str) -> Schemas:
    return {f"pattern {one}": {**TEXT, "pattern": one} for one in written}


def formats(*names: str) -> Schemas:
    return {f"format {one}": {**TEXT, "format": one} for one in names}


TYPES: Schemas = {
    "null": {"type": "null"},
    "boolean": FLAG,
    "integer": WHOLE,
    "number": NUMBER,
    "string": TEXT,
    "array": {**LIST, "maxItems": 3},
    "object": {**OBJECT, "maxProperties": 2},
    "several types": {"type": ["null", "integer", "boolean"]},
    "keywords of several types": {"type": ["string", "integer"], "maxLength": 2, "maximum": 9},
    "a keyword of one type": {"maxLength": 2, "type": ["string", "null"]},
    "no type": {"minimum": 7, "maxLength": 1, "maxItems": 1, "maxProperties": 1},
    "what says nothing": {
        "title": "t",
        "description": "d",
        "default": 5,
        "examples": [1],
        **FLAG,
        "deprecated": True,
        "readOnly": True,
        "$comment": "c",
        "x-own": {"a": 1},
    },
    "content": {**SHORT, "contentEncoding": "base64", "contentMediaType": "text/plain"},
}
VALUES: Schemas = {
    "const null": {"const": None},
    "const text": {"const": 'say "no"\\\n\tŠ😀/'},
    "const number": {"const": -12.75},
    "const list": {"const": [1, [], {"a": None}]},
    "const object": {"const": {"b": {"a": False}, "": 1}},
    "enum": {"enum": ["a", 1, None, 1.5, {"c": [True]}]},
    "enum and type": {"enum": ["a", 1, None, 2], "type": "integer"},
    "enum and more": {"enum": ["red", "green", "blue"], "minLength": 4},
    "const and enum": {"const": 3, "enum": [2, 3]},
    "largest whole number": {"const": 1 << 53},
}
NUMBERS: Schemas = {
    "minimum": {**NUMBER, "minimum": -2.5},
    "maximum": {**NUMBER, "maximum": 3.25},
    "exclusive": {**NUMBER, "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "above zero": {**NUMBER, "exclusiveMinimum": 0},
    "below zero": {**NUMBER, "exclusiveMaximum": 0},
    "whole between": {**WHOLE, "minimum": -17, "maximum": 1234},
    "whole and broken": {**WHOLE, "minimum": 1.5, "maximum": 3.5},
    "both bounds": {
        **WHOLE,
        "minimum": 3,
        "exclusiveMinimum": 5,
        "maximum": 9,
        "exclusiveMaximum": 8,
    },
    "unsigned": {**WHOLE, "minimum": 0, "maximum": (1 << 64) - 1},
    "signed": {**WHOLE, "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "far": {**NUMBER, "minimum": -1e300, "maximum": 1e300},
    "multipleOf": {**WHOLE, "multipleOf": 7},
    "hundredths": {**NUMBER, "multipleOf": 0.01},
    "multipleOf in bounds": {**WHOLE, "multipleOf": 5, "minimum": 11, "maximum": 99},
    "halves": {**NUMBER, "multipleOf": 1.5, "minimum": 0, "maximum": 30},
    "multipleOf twice": {**WHOLE, "allOf": [{"multipleOf": 6}, {"multipleOf": 10}]},
    "multipleOf thrice": {"allOf": [{"multipleOf": 0.5}, {"multipleOf": 0.3}, WHOLE]},
}
TEXTS: Schemas = {
    "minLength": {**TEXT, "minLength": 3},
    "maxLength": {**TEXT, "maxLength": 2},
    "length": {**TEXT, "minLength": 2, "maxLength": 2},
    "pattern and length": {**TEXT, "pattern": "^[a-f]+$", "minLength": 3, "maxLength": 5},
    "pattern and format": {**TEXT, "format": "date", "pattern": "^202[0-9]-02"},
    "two patterns": {**TEXT, "pattern": "^a", "allOf": [{"pattern": "b$"}], "maxLength": 9},
    "begins or ends": {**TEXT, "pattern": "^a|b$", "maxLength": 3},
    "begins in a group": {**TEXT, "pattern": "(^a)|c$", "maxLength": 3},
    "pattern without type": {"pattern": "^x?$", "maxItems": 0, "maxProperties": 0},
    **patterns(
        "^[a-c]{2,4}-[0-9]{2}$",
        "^(ab|c)*$",
        "^\\d{3}\\s\\w+$",
        "^[^a-z]$",
        "^.{2}$",
        "^\\.\\/\\-\\\\$",
        "^[\\[\\]&-]+$",
        "^[Š-Ž]{1,2}$",
        "^\\u00e9\\x41$",
        "^$",
        "^(?:a(?:b?c)+){2}$",
        '^["\\\\/]{2}$',
        "^[\\s\\S]{1,3}$",
        "^😀+$",
    ),
    **formats(
        "date",
        "time",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uuid",
        "uri",
    ),
}
LISTS: Schemas = {
    "items": {**LIST, "items": FLAG, "maxItems": 4},
    "minItems": {**LIST, "items": WHOLE, "minItems": 2},
    "no items": {**LIST, "items": False},
    "prefixItems": {**LIST, "prefixItems": [FLAG, SHORT], "maxItems": 3},
    "prefixItems and items": {
        **LIST,
        "prefixItems": [{"type": "null"}],
        "items": FLAG,
        "minItems": 2,
    },
    "closed prefixItems": {
        "items": False,
        **LIST,
        "prefixItems": [FLAG, {"enum": ["x"]}],
        "minItems": 2,
    },
    "a prefix that cannot be": {**LIST, "prefixItems": [FLAG, False, FLAG]},
    "draft 7's tuple": {
        "$schema": SEVENTH,
        **LIST,
        "items": [FLAG, WHOLE],
        "additionalItems": False,
    },
    "draft 7's rest": {
        "$schema": SEVENTH,
        **LIST,
        "items": [FLAG],
        "additionalItems": {"const": 1},
    },
    "draft 7's tuple apart": {
        "$schema": SEVENTH,
        "additionalItems": False,
        "allOf": [LIST],
        "items": [WHOLE],
    },
    "additionalItems beside prefixItems": {
        **LIST,
        "prefixItems": [FLAG],
        "additionalItems": False,
        "items": {"const": 0},
    },
    "lists of lists": {**LIST, "items": {**LIST, "items": FLAG, "maxItems": 2}, "maxItems": 2},
}
OBJECTS: Schemas = {
    "properties": {**CLOSED, "properties": {"a": FLAG, "b": WHOLE}},
    "required": {**CLOSED, "properties": {"a": FLAG, "b": WHOLE, "c": FLAG}, "required": ["b"]},
    "required and free": {**OBJECT, "properties": {"a": FLAG}, "required": ["a", "b"]},
    "open": {**OBJECT, "properties": {"a": FLAG, "b": SHORT}, "additionalProperties": {"const": 5}},
    "names from outside": {
        **OBJECT,
        "properties": {"a": WHOLE},
        "additionalProperties": TEXT,
        "required": ["a"],
    },
    "a property that cannot be": {
        **OBJECT,
        "properties": {"a": False, "b": FLAG},
        "maxProperties": 9,
        "required": ["b"],
    },
    "patternProperties": {
        **CLOSED,
        "patternProperties": {"^[0-9]$": FLAG, "^x": SHORT},
        "maxProperties": 3,
    },
    "patternProperties and rest": {
        **OBJECT,
        "patternProperties": {"^a": WHOLE},
        "additionalProperties": FLAG,
    },
    "patternProperties and properties": {
        **CLOSED,
        "properties": {"ab": {"minimum": 5}},
        "patternProperties": {"^a": WHOLE},
        "required": ["ab"],
    },
    "minProperties": {**CLOSED, "properties": {"a": FLAG, "b": FLAG}, "minProperties": 1},
    "maxProperties": {**CLOSED, "properties": {"a": FLAG, "b": FLAG}, "maxProperties": 1},
    "one free name": {**OBJECT, "required": ["a"], "minProperties": 2, "maxProperties": 3},
    "awkward names": {
        **CLOSED,
        "required": ["", "a b", "ž", 'q"u', "\\", "\n", "$ref", "a/b~c", "\x01", "properties"],
        "properties": {
            "": FLAG,
            "ž": FLAG,
            "\n": FLAG,
            "$ref": FLAG,
            "a b": FLAG,
            'q"u': FLAG,
            "\\": FLAG,
            "a/b~c": FLAG,
            "\x01": FLAG,
            "properties": FLAG,
            "items": FLAG,
        },
    },
    "names that are keywords": {
        **CLOSED,
        "properties": {
            "format": FLAG,
            "minProperties": {"const": 9},
            "pattern": SHORT,
            "enum": FLAG,
        },
    },
    "awkward names beside free ones": {
        **OBJECT,
        "properties": {"é": FLAG, "😀": FLAG, "\n": FLAG, '"': FLAG},
        "additionalProperties": {"const": 1},
    },
}
TREE: dict[str, Any] = {
    **CLOSED,
    "properties": {"leaf": FLAG, "more": {"$ref": "#/$defs/tree"}},
    "required": ["leaf"],
}
WHOLES: Schemas = {
    "$ref": {"$defs": {"a": WHOLE}, "$ref": "#/$defs/a"},
    "$ref and more": {"$defs": {"a": WHOLE}, "$ref": "#/$defs/a", "minimum": 90, "maximum": 99},
    "$ref with escapes": {"$defs": {"a/b~%c": FLAG}, "$ref": "#/$defs/a~1b~0%25c"},
    "$ref into properties": {**CLOSED, "properties": {"a": FLAG, "b": {"$ref": "#/properties/a"}}},
    "definitions": {
        "$schema": SEVENTH,
        "definitions": {"a": FLAG},
        **LIST,
        "items": {"$ref": "#/definitions/a"},
    },
    "recursion": {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
    "recursion of the whole": {
        **CLOSED,
        "properties": {"a": FLAG, "b": {"$ref": "#"}},
        "required": ["a"],
    },
    "recursive list": {
        "$defs": {"n": {"anyOf": [WHOLE, {**LIST, "items": {"$ref": "#/$defs/n"}, "maxItems": 2}]}},
        "$ref": "#/$defs/n",
    },
    "allOf": {
        "allOf": [
            {**OBJECT, "properties": {"a": FLAG}, "required": ["a"]},
            {"properties": {"b": WHOLE}, "required": ["b"]},
        ],
        "maxProperties": 2,
    },
    "allOf of bounds": {
        "allOf": [{"minimum": 3}, {"maximum": 5}, {**WHOLE, "exclusiveMaximum": 5}]
    },
    "allOf of items": {
        "allOf": [{"items": WHOLE}, {"maxItems": 2}, LIST, {"prefixItems": [{"maximum": 3}]}]
    },
    "anyOf": {"anyOf": [{"type": "null"}, {**WHOLE, "minimum": 0, "maximum": 99}, SHORT]},
    "anyOf and more": {
        **OBJECT,
        "additionalProperties": False,
        "properties": {"a": FLAG, "b": FLAG},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "anyOf with true": {"anyOf": [True, WHOLE], "type": "boolean"},
    "nothing in common": {"anyOf": [{"allOf": [FLAG, WHOLE]}, FLAG]},
    "oneOf of types": {"oneOf": [FLAG, WHOLE, SHORT]},
    "oneOf of kinds": {
        "oneOf": [
            {
                **CLOSED,
                "properties": {"kind": {"const": kind}, "is": one},
                "required": ["kind", "is"],
            }
            for kind, one in (("flag", FLAG), ("whole", WHOLE))
        ]
    },
    "oneOf and more": {"oneOf": [WHOLE, SHORT], "maximum": 3, "minLength": 1},
    "true": {**CLOSED, "properties": {"a": True}, "maxProperties": 1},
    "$id and $anchor": {"$id": "https://raylax.test/a", "$anchor": "top", **FLAG},
}
HELD: Schemas = {**TYPES, **VALUES, **NUMBERS, **TEXTS, **LISTS, **OBJECTS, **WHOLES}
