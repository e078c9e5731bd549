"""A schema whose references lead to names in its own `$defs`, and nowhere else: who reads it needs
to know no ids, no anchors and no pointers."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from raylax.proto.schemas.keywords import INNER, LISTS, MAPS, NAMING
from raylax.proto.schemas.places import Place, Places, Unresolved

UNPLAIN = re.compile(r"[^A-Za-z0-9_.-]+")
POINTER = "#/$defs/"
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class Resolved:
    """A schema, and what is referred to in it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises Unresolved with the place of the first reference that leads nowhere."""
        self._places = Places(schema)
        self._names, self._taken = dict[tuple[int, str], str](), set[str]()
        self._ends = set[int]()
        self._open = list[tuple[str, Place]]()
        self.defs = dict[str, Any]()
        """What references lead to, by its name."""
        self.root: dict[str, Any] = self._copied(*self._places.root, "#")
        while self._open:
            name, place = self._open.pop()
            self.defs[name] = self._copied(*place, POINTER + name)

    @property
    def whole(self) -> dict[str, Any]:
        """All of it as one schema."""
        name = self._names.get((id(self._places.root.schema), self._places.root.base))
        whole: dict[str, Any] = self.root if name is None else {"$ref": POINTER + name}
        return {**whole, **self.defs_for(whole)}

    def defs_for(self, part: Any) -> dict[str, Any]:
        """What makes a part of it a schema of its own."""
        needed = self._needed(part)
        return {"$defs": {name: self.defs[name] for name in needed}} if needed else {}

    def _needed(self, part: Any) -> list[str]:
        """What is referred to in it, and in that."""
        found, open = dict[str, None](), [part]
        while open:
            one = open.pop()
            if isinstance(one, list):
                open += one
            elif isinstance(one, Mapping):
                open += one.values()
                name = str(one.get("$ref")).removeprefix(POINTER)
                if name in self.defs and name not in found:
                    found[name] = None
                    open.append(self.defs[name])
        return sorted(found)

    def followed(self, schema: Any) -> Any:
        """What a schema refers to, where it says nothing else of values; else itself."""
        return self.places.followed(Place(schema, "")).schema

    @cached_property
    def places(self) -> Places:
        """Those of its parts."""
        return Places({"$defs": self.defs})

    def _copied(self, schema: Any, base: str, where: str) -> Any:
        """A schema in which references are names. `base`: of what is in it."""
        if not isinstance(schema, Mapping):
            return schema
        told, targets = dict[str, Any](), list[dict[str, str]]()
        for key, value in schema.items():
            place = f"{where}/{key}"
            if key in NAMING:
                continue
            if key in MAPS and isinstance(value, Mapping):
                told[key] = {
                    name: self._inside(one, base, f"{place}/{escaped(name)}")
                    for name, one in value.items()
                }
            elif key in LISTS and isinstance(value, list):
                told[key] = [self._inside(one, base, f"{place}/{i}") for i, one in enumerate(value)]
            elif key in INNER:
                told[key] = self._inside(value, base, place)
            elif key in REFERENCES:
                name = self._name(key, value, base, place)
                if name is None:
                    told[key] = value
                else:
                    targets.append({"$ref": POINTER + name})
            else:
                told[key] = value
        if len(targets) > 1 and isinstance(told.get("allOf", []), list):
            return {**told, "allOf": [*told.get("allOf", []), *targets]}
        return {**told, **targets[0]} if targets else told

    def _inside(self, schema: Any, base: str, where: str) -> Any:
        return self._copied(schema, self._places.base_in(schema, base), where)

    def _name(self, key: str, reference: Any, base: str, where: str) -> str | None:
        """Of what it leads to; None: which that is depends on the way."""
        if not isinstance(reference, str):
            raise Unresolved(f"{where}: must be a text, found {reference!r:.80}")
        try:
            if key == "$ref":
                target = self._places.find(reference, base)
            elif (found := self._places.find_dynamic(reference, base)) is not None:
                target = found
            else:
                return None
            self._end(target)
        except Unresolved as error:
            raise Unresolved(f"{where}: {reference!r:.200} {error}") from None
        id_ = (id(target.schema), target.base)
        if id_ not in self._names:
            self._names[id_] = self._new_name(reference)
            self._open.append((self._names[id_], target))
        return self._names[id_]

    def _end(self, place: Place) -> None:
        """Raises Unresolved where references lead to each other, and to nothing else."""
        passed = set[int]()
        while (reference := reference_in(place.schema)) is not None:
            if id(place.schema) in passed:
                raise Unresolved("leads to itself")
            if id(place.schema) in self._ends:
                break
            passed.add(id(place.schema))
            place = self._places.find(reference, place.base)
        self._ends |= passed

    def _new_name(self, reference: str) -> str:
        """That says what it is, and is nobody else's."""
        plain = UNPLAIN.sub("_", reference.rpartition("/")[2].strip("#")) or "root"
        name = plain if plain not in self._taken else f"{plain}_{len(self._taken)}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def reference_in(schema: Any) -> Any:
    """The first one that a schema has itself."""
    if not isinstance(schema, Mapping):
        return None
    return next((schema[key] for key in REFERENCES if schema.get(key) is not None), None)


def escaped(name: str) -> str:
    """As a pointer has it."""
    return name.replace("~", "~0").replace("/", "~1")
