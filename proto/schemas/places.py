"""Where the references of a JSON schema lead: to places in the same schema, by a pointer, an anchor
or an id. Nothing is fetched.

A reference is a URI (RFC 3986), relative to the `$id` that stands around it, as in draft 2020-12;
ids and anchors of drafts 4 to 7 are understood. A path that is no id, as `/$defs/Person`, is
taken as the pointer whose # has been forgotten.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from raylax.proto.schemas.keywords import MAPS, SAY_NOTHING, VALUES

OLD_DRAFT = re.compile("draft-0[34]")
"""Whose ids are called `id`."""


class Unresolved(ValueError):
    """A reference that leads to no place of its schema."""


class Place(NamedTuple):
    """A part of a schema."""

    schema: Any
    base: str
    """The URI to which references in it are relative; empty: none."""


class Places:
    """All to which a reference in a schema can lead."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        draft = root.get("$schema")
        self._id = "id" if isinstance(draft, str) and OLD_DRAFT.search(draft) else "$id"
        self.root = Place(root, self.base_in(root, ""))
        self._followed = dict[int, Place]()

    def find(self, reference: Any, base: str = "") -> Place:
        """Where it leads from a place of this base. Raises Unresolved."""
        if not isinstance(reference, str):
            raise Unresolved(f"must be a text, found {reference!r:.80}")
        path, mark, fragment = reference.partition("#")
        uri = base if not path else joined(base, path)
        if uri == self.root.base:
            resource: Place | None = self.root
        else:
            resource = self._resources.get(uri) or self._resources.get(path or uri)
        found = None
        if resource is not None:
            found = self._in_resource(resource, unquote(fragment))
        if found is None and is_path(path):
            pointer = fragment if not path else "" if mark else path
            if pointer:
                found = self._down(self.root, "/" + unquote(pointer).removeprefix("/"))
        if found is None:
            raise Unresolved("leads to no place of this schema")
        if not isinstance(found.schema, Mapping | bool):
            raise Unresolved("leads to what is no schema")
        return found

    def find_dynamic(self, reference: str, base: str = "") -> Place | None:
        """Where it leads whichever way it was come to; None: that decides. Raises Unresolved."""
        name = unquote(reference.partition("#")[2])
        return None if self._dynamic.get(name, 0) > 1 else self.find(reference, base)

    def _in_resource(self, resource: Place, fragment: str) -> Place | None:
        if not fragment or fragment.startswith("/"):
            return self._down(resource, fragment)
        return self._anchors.get((resource.base, fragment))

    def _down(self, place: Place, pointer: str) -> Place | None:
        """Where a JSON pointer leads from here (RFC 6901)."""
        for step in pointer.split("/")[1:]:
            name, here = step.replace("~1", "/").replace("~0", "~"), place.schema
            if isinstance(here, Mapping) and name in here:
                here = here[name]
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
            else:
                return None
            place = Place(here, self.base_in(here, place.base))
        return place

    def followed(self, place: Place) -> Place:
        """Where a schema leads that says nothing else of values; else itself. Raises Unresolved."""
        passed = set[int]()
        while id(place.schema) not in passed:
            passed.add(id(place.schema))
            if (known := self._followed.get(id(place.schema))) is not None:
                place = known
                break
            match said_in(place.schema):
                case ["$ref"]:
                    place = self.find(place.schema["$ref"], place.base)
                case ["allOf"] if is_one(place.schema["allOf"]):
                    place = self.inside(place, place.schema["allOf"][0])
        self._followed.update(dict.fromkeys(passed, place))
        return place

    def inside(self, place: Place, schema: Any) -> Place:
        """A schema that stands in one."""
        return Place(schema, self.base_in(schema, place.base))

    def base_in(self, schema: Any, base: str) -> str:
        """The base of what stands in a schema, which stands in one of this base."""
        named = schema.get(self._id) if isinstance(schema, Mapping) else None
        if not isinstance(named, str) or named.startswith("#"):
            return base
        return joined(base, urldefrag(named)[0])

    @cached_property
    def _all(self) -> list[Place]:
        """Every schema that may have a name."""
        return list(self._under(*self.root))

    def _under(self, schema: Any, base: str) -> Iterator[Place]:
        if isinstance(schema, list):
            for one in schema:
                yield from self._under(one, base)
        if isinstance(schema, Mapping):
            base = self.base_in(schema, base)
            yield Place(schema, base)
            for key, value in schema.items():
                if key in MAPS and isinstance(value, Mapping):
                    yield from self._under(list(value.values()), base)
                elif key not in VALUES:
                    yield from self._under(value, base)

    @cached_property
    def _resources(self) -> dict[str, Place]:
        """By their URIs."""
        found = {"": self.root, self.root.base: self.root}
        for place in self._all:
            named = place.schema.get(self._id)
            if isinstance(named, str) and not named.startswith("#"):
                found.setdefault(place.base, place)
        return found

    @cached_property
    def _anchors(self) -> dict[tuple[str, str], Place]:
        """By the URI of their resource, and their name."""
        found = dict[tuple[str, str], Place]()
        for place in self._all:
            for key in (self._id, "$anchor", "$dynamicAnchor"):
                named = place.schema.get(key)
                if isinstance(named, str) and (key != self._id or named.startswith("#")):
                    found.setdefault((place.base, named.removeprefix("#")), place)
        return found

    @cached_property
    def _dynamic(self) -> dict[str, int]:
        """How many schemas have each dynamic anchor; the recursive one has no name."""
        found = dict[str, int]()
        for place in self._all:
            named = place.schema.get("$dynamicAnchor")
            named = "" if place.schema.get("$recursiveAnchor") is True else named
            if isinstance(named, str):
                found[named] = found.get(named, 0) + 1
        return found


def said_in(schema: Any) -> list[str]:
    """The keywords of a schema that mean something for a value."""
    if not isinstance(schema, Mapping):
        return []
    return [key for key in schema if key not in SAY_NOTHING and not key.startswith("x-")]


def is_one(schemas: Any) -> bool:
    """Whether it is a list of one."""
    return isinstance(schemas, list) and len(schemas) == 1


def is_path(path: str) -> bool:
    """Whether it names no other place."""
    try:
        there = urlsplit(path)
    except ValueError:
        return False
    return not there.scheme and not there.netloc


def joined(base: str, path: str) -> str:
    """A URI without a fragment, relative to a base."""
    try:
        return urljoin(base, path)
    except ValueError as error:
        raise Unresolved(f"is no URI: {error}") from None
