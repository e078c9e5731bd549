"""Durations that a caller names, in a header or in a field of its request."""

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.ranges import LONGEST_S


def positive_seconds(name: str, value: str | float) -> float:
    """The seconds that `value` says. Raises InvalidRequest, of the header or field `name`, for what
    is no number, not above 0, or more than a year."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= LONGEST_S:
        found = shown(value) if isinstance(value, str) else f"{value:g}"
        rule = f"must be seconds, more than 0 and at most {LONGEST_S}"
        raise InvalidRequest(f"{name}: {rule}, found {found}", param=name)
    return seconds
