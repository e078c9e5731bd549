"""Durations that a caller names, in a header or in a field of its request."""

from raylax.proto.errors import InvalidRequest, shown


def positive_seconds(name: str, value: str | float) -> float:
    """The seconds that `value` says. Raises InvalidRequest, of the header or field `name`, for what
    is no number, not above 0, or without end."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        found = shown(value) if isinstance(value, str) else f"{value:g}"
        raise InvalidRequest(f"{name}: must be seconds, more than 0, found {found}", param=name)
    return seconds
