"""What a schema is accepted for, it is held to: whatever is drawn from a strict grammar validates,
or the schema is refused by the name of its keyword. Over every keyword that JSON schemas have."""

import json
import random
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

import jsonschema
import numpy as np
import pytest
from llguidance import LLMatcher

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.checking import any_bytes, checked_grammar
from raylax.proto.grammar.limits import LIMITS
from raylax.proto.grammar.matcher import Matcher
from raylax.proto.openai.structure import of_schema
from tests.support.refused_schemas import REFUSED
from tests.support.schemas import HELD

DRAWN = 40
"""Answers of each schema."""
MOST = 300
"""Bytes of an answer; in the last half of them what may be closed is."""
CLOSING = frozenset(b'"}]')


def exactly(text: str) -> Any:
    """A value with its numbers as they are written."""
    return json.loads(text, parse_float=number)


def number(written: str) -> Decimal | float:
    try:
        return Decimal(written)
    except InvalidOperation:  # its exponent has twenty digits
        return float(written)


def validator(schema: dict[str, Any]) -> jsonschema.protocols.Validator:
    """The reference's, with exact numbers and formats."""
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    return kind(exactly(json.dumps(schema)), format_checker=kind.FORMAT_CHECKER)


def held(schema: dict[str, Any]) -> str:
    return checked_grammar(of_schema(schema, "schema", lenient=False))


def answers(grammar: str, rng: random.Random) -> Iterator[str]:
    """That nobody chose, of which most are short."""
    tokenizer = any_bytes()
    vocabulary, end = tokenizer.vocab_size, tokenizer.eos_token
    inner = LLMatcher(tokenizer, grammar, limits=LIMITS, log_level=0)
    for _ in range(DRAWN):
        matcher, said = Matcher(inner.deep_copy(), vocabulary), bytearray()
        while not matcher.complete and len(said) < MOST:
            mask = matcher.mask()
            assert mask is not None
            may = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
            close = [one for one in may if one in CLOSING]
            hurry = rng.random() < 0.2 + len(said) / MOST
            if end in may and (hurry or len(may) == 1):
                break
            token = rng.choice(close if close and hurry else [one for one in may if one != end])
            assert matcher.advance([token])
            said.append(token)
        if len(said) < MOST:
            yield said.decode()


@pytest.mark.parametrize("name", HELD)
def test_every_answer_validates(name: str) -> None:
    schema, whole = HELD[name], 0
    reference = validator(schema)
    with localcontext(prec=2 * MOST):
        for text in answers(held(schema), random.Random(name)):
            reference.validate(exactly(text))
            whole += 1

    assert whole > DRAWN // 2


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_to_is_refused_by_its_name(name: str) -> None:
    schema, keyword = REFUSED[name]
    with pytest.raises(InvalidRequest) as caught:
        held(schema)

    assert caught.value.param == "schema"
    assert keyword in caught.value.message


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"properties": {"a": {"type": "integer"}}}, r'{"\u0061": "x"}'),
        ({"properties": {"é": {"type": "integer"}}}, r'{"\u00e9": "x"}'),
        ({"patternProperties": {"^a": {"type": "integer"}}}, r'{"\u0061": "x"}'),
        ({"type": "string", "format": "date"}, '"2023-02-29"'),
        ({"type": "string", "format": "date"}, '"1900-02-29"'),
        ({"type": "string", "format": "time"}, '"12:00:60Z"'),
        ({"type": "string", "format": "date-time"}, '"2024-01-01T12:00:60Z"'),
        ({"type": "string", "format": "hostname"}, f'"{("a" * 63 + ".") * 4}b"'),
        ({"type": "string", "format": "hostname"}, '"ab--c"'),
        ({"type": "string", "format": "email"}, f'"{"a" * 65}@b.c"'),
    ],
)
def test_what_is_seldom_drawn(schema: dict[str, Any], text: str) -> None:
    """And would not validate."""
    inner = LLMatcher(any_bytes(), held(schema), limits=LIMITS, log_level=0)

    assert inner.validate_tokens(list(text.encode())) < len(text)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"exclusiveMinimum": 0, "maximum": 0.1}, "0"),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1e-7}, "0"),
        ({"exclusiveMaximum": 0, "minimum": -0.5}, "-0"),
        ({"exclusiveMinimum": 5, "maximum": 5.001}, "5"),
        ({"exclusiveMaximum": -7, "exclusiveMinimum": -7.25, "maximum": 3}, "-7"),
    ],
)
def test_a_bound_that_is_excluded_is(bounds: dict[str, Any], text: str) -> None:
    """However near the other one is."""
    inner = LLMatcher(any_bytes(), held({"type": "number", **bounds}), limits=LIMITS, log_level=0)

    assert inner.consume_tokens(list(text.encode()))
    assert not inner.is_accepting()


@pytest.mark.parametrize(
    ("schema", "text"), [({"minItems": 2.0, "maxItems": 2.0, "items": {"const": 1}}, "[1, 1]")]
)
def test_counts_may_be_written_as_other_numbers(schema: dict[str, Any], text: str) -> None:
    inner = LLMatcher(any_bytes(), held(schema), limits=LIMITS, log_level=0)

    assert inner.consume_tokens(list(text.encode())) and inner.is_accepting()


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("date", "2024-02-29"), ("date", "2000-02-29"), ("date", "0001-12-31"),
        ("time", "23:59:59.5+01:30"), ("date-time", "2023-02-28T00:00:00Z"),
        ("hostname", f"{'a' * 63}.x-y.de"), ("hostname", "a"), ("hostname", "ab-cd.a-b"),
        ("email", "a.b@c.d"), ("email", f"{'a.' * 31}a@{'b' * 63}.c"),
    ],
)  # fmt: skip
def test_what_formats_allow(format: str, text: str) -> None:
    grammar = held({"type": "string", "format": format})
    inner = LLMatcher(any_bytes(), grammar, limits=LIMITS, log_level=0)

    assert inner.validate_tokens(list(f'"{text}"'.encode())) == len(text) + 2


@pytest.mark.parametrize(
    "schema", [{"minProperties": 2}, {"pattern": "^[a[b]]$"}, {"const": 1 << 60}, {"not": {}}]
)
def test_a_schema_that_is_not_strict_is_held_to_as_far_as_can_be(schema: dict[str, Any]) -> None:
    assert checked_grammar(of_schema(schema, "schema", lenient=True))
