"""Which types a value may have by its schema."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raylax.proto.schemas.places import Place, Places, Unresolved

KINDS: dict[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", dict: "object",
    list: "array", type(None): "null",
}  # fmt: skip
IMPLIED = {"properties": "object", "items": "array", "prefixItems": "array"}
"""What is meant where a keyword stands without a type."""


def kinds_of_arguments(schema: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Those of each argument of a function, which is described by this schema; none where its
    references lead nowhere."""
    places, known = Places(schema), dict[int, frozenset[str] | None]()
    try:
        root = places.followed(places.root)
        properties = root.schema.get("properties") if isinstance(root.schema, Mapping) else None
        if not isinstance(properties, Mapping):
            return {}
        return {
            name: kinds_in(places.inside(root, one), places, known) or frozenset()
            for name, one in properties.items()
        }
    except (Unresolved, RecursionError):
        return {}


def kinds_in(
    place: Place, places: Places, known: dict[int, frozenset[str] | None]
) -> frozenset[str] | None:
    """The types; none where the schema does not say. None: it is being looked at, and adds nothing
    to itself. `known`: of schemas that were looked at."""
    place = places.followed(place)
    schema = place.schema
    if not isinstance(schema, Mapping):
        return frozenset()
    if id(schema) not in known:
        known[id(schema)] = None
        known[id(schema)] = told_by(
            schema, lambda one: kinds_in(places.inside(place, one), places, known)
        )
    return known[id(schema)]


def told_by(
    schema: Mapping[str, Any], kinds: Callable[[Any], frozenset[str] | None]
) -> frozenset[str]:
    """What a schema says itself. `kinds`: of one that stands in it."""
    found = set(map(str, listed(schema.get("type"))))
    for name in ("anyOf", "oneOf"):
        for one in listed(schema.get(name)):
            inner = kinds(one)
            if inner is not None and not inner:
                return frozenset()
            found |= inner or set()
    for one in listed(schema.get("allOf")):
        inner = kinds(one) or frozenset()
        found = found & inner if found and inner else found | inner
    values = [*listed(schema.get("enum")), *([schema["const"]] if "const" in schema else [])]
    if not found:
        found = {KINDS.get(type(one), "") for one in values}
    if not found:
        found = {kind for key, kind in IMPLIED.items() if key in schema}
    return frozenset(found)


def listed(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]
