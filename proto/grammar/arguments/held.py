"""What arguments are held to where they are not written as JSON: a part of what schemas say. Of a
strict one what goes beyond is named, of others it is passed over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from raylax.proto.grammar.schema import Unenforceable
from raylax.proto.parsers.tools.value_kinds import KINDS, listed
from raylax.proto.schemas.places import said_in

OF_OBJECTS = ("type", "properties", "required", "additionalProperties")
"""Those that objects are held to: they have no other names."""


def properties_of(
    schema: Mapping[str, Any], strict: bool, fits: Callable[[str], object] = lambda name: True
) -> Iterator[tuple[str, Any, bool]]:
    """Each argument's name, its schema, and whether it must be given. One whose name does not fit
    into a format is left out where it may be. Raises Unenforceable."""
    known, required = dict(schema.get("properties") or {}), schema.get("required") or ()
    others = dict[str, Any]((name, {}) for name in required if name not in known)
    for name, inner in (known | others).items():
        if fits(name):
            yield name, inner, name in required
        elif strict or name in required:
            raise Unenforceable(f"{name!r:.80}: no argument of this model's calls has such a name")


def alternatives_of(schema: Any) -> list[Any] | None:
    """Those of which a value is one, where a schema says nothing else."""
    said = said_in(schema)
    if said in (["anyOf"], ["oneOf"]) and isinstance(schema[said[0]], list):
        return list(schema[said[0]])
    return None


def values_of(schema: Any) -> list[Any] | None:
    """Those of which a value is one; None if it may be another. Raises Unenforceable where none of
    them is of the type that is said beside them."""
    if not isinstance(schema, Mapping):
        return None
    named = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(named, list) or not named:
        return None
    kinds = frozenset(listed(schema.get("type")))
    if not (fitting := [one for one in named if is_of(one, kinds)]):
        raise Unenforceable(f"type: none of the values is of it, which is {schema['type']!r:.80}")
    return fitting


def is_of(value: Any, kinds: frozenset[str]) -> bool:
    """Whether a value is of one of these kinds; none: of any."""
    kind = KINDS.get(type(value), "")
    if kind == "number" and float(value).is_integer():
        kind = "integer"
    return not kinds or kind in kinds or (kind == "integer" and "number" in kinds)


def only(name: str, schema: Any, enforced: Iterable[str], strict: bool) -> None:
    """Raises Unenforceable for a value that its schema says more of."""
    known = {*enforced}
    said = ["false"] if schema is False else [key for key in said_in(schema) if key not in known]
    if strict and said:
        raise Unenforceable(f"{name}: {', '.join(said)} cannot be enforced in this model's calls")


def check_object(name: str, schema: Mapping[str, Any], strict: bool) -> None:
    """Raises Unenforceable for an object that is not told by the schemas of its names."""
    only(name, schema, OF_OBJECTS, strict)
    known = schema.get("properties") or {}
    missing = [one for one in schema.get("required", ()) if one not in known]
    if strict and missing:
        raise Unenforceable(f"{name}: required has {missing[0]!r:.80}, which is no property")
