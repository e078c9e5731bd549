"""Forms of answers as clients ask for them."""

from itertools import count
from typing import Any

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "married": {"type": "boolean"},
        "colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 3},
    },
    "required": ["name", "age", "married", "colours"],
    "additionalProperties": False,
}
PEOPLE = {"type": "array", "items": PERSON, "minItems": 200}
NUMBERS = count()


def large_schema() -> dict[str, Any]:
    """Of 10 kB, and another one each time."""
    number = next(NUMBERS)
    names = [f"field_{number}_{i}" for i in range(100)]
    properties = {name: {"type": "string", "description": "x" * 50} for name in names}
    return {"type": "object", "properties": properties, "required": names}
