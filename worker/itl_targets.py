"""Targets between two tokens as they may be set: one for everybody, or one for each class."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeGuard

from raylax.proto.vocabulary import Priority

TargetMs = float | Literal["auto"]
"""Milliseconds; 0: any; auto: by what decodes take."""
TargetsMs = TargetMs | dict[str, TargetMs]
"""By the name of a class, all of them, where there is not one for everybody."""
MOST_MS = 3_600_000
"""Beyond an hour a number is a mistake, and not a time between two tokens."""
CLASSES = tuple(one.name.lower() for one in Priority)
RULE = f"must be auto, or a number of milliseconds from 0 to {MOST_MS}"


def fault_of(name: str, value: Any) -> str | None:
    """What is wrong with a value of the option of this name; None: nothing."""
    if is_target(value):
        return None
    if not isinstance(value, Mapping) or not value:
        return f"{name} {RULE}, or that for some of {', '.join(CLASSES)}, found {value!r}"
    for key, target in value.items():
        if key not in CLASSES:
            return f"{name}: {unknown(key)}"
        if not is_target(target):
            return f"{name}.{key} {RULE}, found {target!r}"
    return None


def completed(value: TargetMs | Mapping[str, TargetMs]) -> TargetsMs:
    """A value as it is kept: classes that are left out have auto."""
    if isinstance(value, Mapping):
        return {one: value.get(one, "auto") for one in CLASSES}
    return value


def is_target(value: Any) -> TypeGuard[TargetMs]:
    """Whether it is one, for somebody or for everybody."""
    return value == "auto" or (type(value) in (float, int) and 0 <= value <= MOST_MS)


def unknown(key: Any) -> str:
    """What is said of a class that there is none of."""
    near = get_close_matches(str(key).lower(), CLASSES, 1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(CLASSES)}"
    return f"unknown class {key!r}; {meant}"
