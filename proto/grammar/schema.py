"""A schema in the words in which llguidance enforces it.

It refuses the keywords that it does not have. Where it would take a schema, and allow more than
that says, the schema is put in other words here, or refused. Which draft it was written for makes
no difference: it is read as one of the latest.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import count as counted
from typing import Any, TypeGuard

from raylax.proto.grammar.formats import FORMATS
from raylax.proto.schemas.keywords import MAPS, VALUES
from raylax.proto.schemas.places import Unresolved
from raylax.proto.schemas.resolved import Resolved

LARGEST = 1 << 53
"""Numbers up to here are exact."""
LARGEST_STEP = 1 << 32
"""What all `multipleOf` together come to, once none of them has decimals."""
BOUNDS = {
    "minimum": (max, -LARGEST),
    "exclusiveMinimum": (max, -LARGEST),
    "maximum": (min, LARGEST),
    "exclusiveMaximum": (min, LARGEST),
}
"""Those of numbers, and what is close enough where they are far away."""
NOT_TOLD = frozenset({"$schema", "x-guidance", "items", "additionalItems"})
"""Keywords that say nothing to llguidance, or more than they should, or are told by others."""
OPPOSITE = {
    "exclusiveMinimum": ("maximum", "exclusiveMaximum"),
    "exclusiveMaximum": ("minimum", "exclusiveMinimum"),
}
"""The bounds at the other end."""
COUNTS = (
    "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
)  # fmt: skip
"""Keywords whose numbers are whole, however they are written."""
UNWRITTEN = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f]")
"""Characters that JSON can only write by their number: no answer has them, for what is written so
could be any character, and any name."""
CLASS = re.compile(r"\\.|\[\^?((?:\\.|[^\]\\])*)", re.DOTALL)
"""The inside of a set of characters in a pattern."""
OPERATORS = ("[", "&&", "--", "~~")
"""That llguidance has in sets of characters, where JSON schemas have characters."""


class Unenforceable(ValueError):
    """No grammar holds an answer to this schema."""


def enforced(schema: Mapping[str, Any], strict: bool) -> dict[str, Any]:
    """The same schema for llguidance. Raises Unenforceable with the keyword for which there are no
    such words; of one that is not strict that keyword stays, for what it is worth."""
    told = reworded(resolved(schema).whole)
    assert isinstance(told, dict)
    for found in problems(told) if strict else ():
        raise Unenforceable(found)
    return told


def resolved(schema: Mapping[str, Any]) -> Resolved:
    """With references to places that are there. Raises Unenforceable."""
    try:
        return Resolved(schema)
    except Unresolved as error:
        raise Unenforceable(str(error)) from None


def reworded(schema: Any) -> Any:
    """With other words for what there are such."""
    if isinstance(schema, list):
        return [reworded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: inside(key, one) for key, one in schema.items() if key not in NOT_TOLD}
    told |= items_of(schema)
    for key, (within, bound) in BOUNDS.items():
        if is_number(told.get(key)):
            told[key] = within(told[key], bound)
    told |= kept_clear(told)
    for key in COUNTS:
        if isinstance(count := told.get(key), float) and count.is_integer():
            told[key] = int(count)
    named = told.get("format")
    if isinstance(named, str) and named in FORMATS and isinstance(told.get("allOf", []), list):
        del told["format"]
        told["allOf"] = [*told.get("allOf", []), FORMATS[named]]
    return told


def kept_clear(schema: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Bounds that are whole and excluded, a little further in: llguidance takes them for included
    where the other bound is less than 1 away."""
    for key, others in OPPOSITE.items():
        bound = schema.get(key)
        if not (is_number(bound) and float(bound).is_integer()):
            continue
        ends = [schema[one] for one in others if is_number(schema.get(one))]
        if near := [end for end in ends if 0 < abs(end - bound) < 1]:
            room = Decimal(str(min(near, key=lambda end: abs(end - bound)))) - Decimal(str(bound))
            step = Decimal(1).scaleb(room.adjusted() - 3).copy_sign(room)
            yield key, float(Decimal(str(bound)) + step)


def inside(key: str, value: Any) -> Any:
    """What a keyword says, reworded."""
    if key in MAPS and isinstance(value, dict):
        return {name: reworded(one) for name, one in value.items()}
    return value if key in VALUES else reworded(value)


def items_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The items of an array: a list of schemas is what `prefixItems` has become, and only beside
    one `additionalItems` has a meaning."""
    if "items" not in schema:
        return {}
    if not isinstance(schema["items"], list) or "prefixItems" in schema:
        return {"items": reworded(schema["items"])}
    rest = {"items": reworded(schema["additionalItems"])} if "additionalItems" in schema else {}
    return {"prefixItems": reworded(schema["items"]), **rest}


def problems(schema: Any) -> Iterator[str]:
    """What of it llguidance would take for something else."""
    steps = [one["multipleOf"] for one in schemas_in(schema) if is_number(one.get("multipleOf"))]
    if too_large_together({Fraction(str(one)) for one in steps}):
        yield f"multipleOf: {', '.join(map(str, steps))} cannot be enforced together"
    for one in schemas_in(schema):
        yield from problems_of(one)


def schemas_in(schema: Any) -> Iterator[dict[str, Any]]:
    """It, and all that stand in it."""
    if isinstance(schema, list):
        for one in schema:
            yield from schemas_in(one)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in MAPS and isinstance(value, dict):
                yield from schemas_in(list(value.values()))
            elif key not in VALUES:
                yield from schemas_in(value)


def problems_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """Those that are not in a schema that stands in it."""
    for key in ("const", "enum"):
        for value in values_in(schema.get(key)):
            if is_number(value) and abs(value) > LARGEST:
                yield f"{key}: numbers are exact up to {LARGEST}, it has {value}"
            if isinstance(value, str) and (found := UNWRITTEN.search(value)):
                yield f"{key}: answers have no control characters, it has {found[0]!r}"
    for key in BOUNDS:
        value = schema.get(key, 0)
        if not is_number(value):
            yield f"{key}: must be a number, found {value!r:.80}"
        elif abs(value) > LARGEST:
            yield f"{key}: numbers are exact up to {LARGEST}, found {value}"
    if isinstance(schema.get("items"), list):
        yield "items: may be a list, as in draft 7, or stand beside prefixItems, not both"
    if is_number(step := schema.get("multipleOf")) and step <= 0:
        yield f"multipleOf: must be above 0, found {step}"
    named = schema.get("required")
    free = schema.get("minProperties", 0)
    if is_number(free) and free > 1 + len(named if isinstance(named, list) else ()):
        yield (
            "minProperties: names that are not required may be the same one; at most one more than "
            f"is required can be enforced, found {free}"
        )
    patterns = [*(schema.get("patternProperties") or {}), schema.get("pattern")]
    for pattern in patterns:
        if isinstance(pattern, str) and has_operators(pattern):
            yield f"pattern: {pattern!r:.80} has an unescaped [, && or -- in a set, or an empty set"


def has_operators(pattern: str) -> bool:
    """Whether a set of characters in it would be read as one of Rust's."""
    sets = (one[1] for one in CLASS.finditer(pattern) if one[1] is not None)
    return any(not one or any(map(re.sub(r"\\.", "x", one).count, OPERATORS)) for one in sets)


def too_large_together(steps: set[Fraction]) -> bool:
    """Whether llguidance would lose a common multiple."""
    decimals = next(d for d in counted() if all(10**d % one.denominator == 0 for one in steps))
    whole = sorted(one * 10**decimals for one in steps)
    return len(whole) > 1 and whole[-1] * whole[-2] >= LARGEST_STEP


def values_in(value: Any) -> Iterator[Any]:
    """All values that are in one of JSON."""
    if isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from values_in(one)
    else:
        yield value


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
