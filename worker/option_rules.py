"""What the values of an engine's options must satisfy."""

import os
from collections.abc import Callable
from dataclasses import Field, field
from typing import Any, NamedTuple

from raylax.proto.pages import PAGE_SIZE


class Rule(NamedTuple):
    """What the values of an option must satisfy, and what is said of one that does not."""

    holds: Callable[[Any], bool]
    """Whether a value does, whatever its type."""
    error: str
    """With `name` and `value` to be filled in."""
    absent: bool = False
    """The option is one of the original engine that this build has no code for."""


def one_of(*known: str | None) -> Rule:
    """The rule of an option that has names for its values."""
    listed = ", ".join(value for value in known if value)
    return Rule(known.__contains__, f"{{name}} must be one of {listed}, found {{value!r}}")


def nothing_but(*possible: Any) -> Rule:
    """The rule of an absent option: refused, rather than ignored, if it is set to anything else."""
    error = "{name}={value!r} is not available in this version of raylax"
    return Rule(possible.__contains__, error, absent=True)


def whole_number(least: int, most: int) -> Rule:
    """The rule of an option whose values lie between these, or are one of them."""
    return Rule(
        lambda value: type(value) is int and least <= value <= most,
        f"{{name}} must be a whole number from {least} to {most}, found {{value!r}}",
    )


POSITIVE = Rule(
    lambda value: value is None or (type(value) is int and value >= 1),
    "{name} must be a positive integer, found {value!r}",
)
GIVEN = Rule(lambda value: type(value) is int and value >= 1, POSITIVE.error)
"""The same of an option that nobody infers."""
BYTES = Rule(
    lambda value: value is None or (type(value) is int and value >= 0),
    "{name} must be a whole number of bytes, found {value!r}",
)
COUNT = Rule(
    lambda value: value is None or (type(value) is int and 0 <= value < 2**31),
    "{name} must be a whole number, found {value!r}",
)
COUNT_OR_ALL = Rule(
    lambda value: value is None or (type(value) is int and value >= -1),
    "{name} must be a whole number, or -1 for no limit, found {value!r}",
)
MOST_THREADS = 1024
"""Of a rank; no machine has so many cores that share a step."""
THREADS = Rule(
    lambda value: value is None or (type(value) is int and 1 <= value <= MOST_THREADS),
    f"{{name}} must be a positive integer, at most {MOST_THREADS}, found {{value!r}}",
)
TEXT = Rule(lambda value: isinstance(value, str), "{name} must be text, found {value!r}")
SWITCH = Rule(
    lambda value: type(value) is bool,
    "{name} must be true or false, found {value!r}",
)
PROPER_SHARE = Rule(
    lambda value: value is None or (isinstance(value, float | int) and 0 < value < 1),
    "{name} must lie between 0 and 1, found {value!r}",
)
WHOLE_OR_SHARE = Rule(
    lambda value: type(value) in (float, int) and 0 < value <= 1,
    "{name} must be above 0 and at most 1, found {value!r}",
)
PATH = (str, os.PathLike)


def is_model(given: Any) -> bool:
    """Whether it is a path, or one and a library, of which there may be none."""
    if not isinstance(given, list | tuple):
        return isinstance(given, PATH)
    if len(given) != 2 or not isinstance(given[0], PATH):
        return False
    return given[1] is None or isinstance(given[1], PATH)


MODELS = Rule(
    lambda value: value is None or (isinstance(value, list | tuple) and all(map(is_model, value))),
    "{name} must be a list of models, each a path, or a pair of it and a library, found {value!r}",
)
PAGE = Rule(
    lambda value: type(value) is int and value == PAGE_SIZE,
    f"{{name}} must be {PAGE_SIZE}, found {{value!r}}",
)


def option(default: Any, rule: Rule) -> Any:
    """A field of the configuration whose values are checked when one is made."""
    return field(default=default, metadata={"rule": rule})


def rule_of(option: Field[Any]) -> Rule | None:
    """The rule of a field; None if it takes any value."""
    rule: Rule | None = option.metadata.get("rule")
    return rule
