"""Fields that a request may have and a model of ours has not: ignored, refused, or unknown.

Nothing that changes what is asked for is ignored in silence: a field is in a model, or a table says
why it makes no difference, or by which values it makes none; of all others the client is warned.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from raylax.proto.errors import shown
from raylax.proto.warnings import warn

STRICT = "strict_fields"
"""Key of a validation's context: unknown fields are mistakes."""
NOT_HERE = "field_not_here"
"""Type of the errors below, whose message begins with the name of the field."""
LONGEST_NAME = 64
"""Characters of a name for which a similar one is looked for."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """It changes neither a token nor what the answer means."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It would change the answer, and is not here."""

    why: str
    """And what to do instead."""
    but: tuple[Any, ...] = ()
    """Values that ask for nothing."""


FieldTable: TypeAlias = Mapping[str, Ignored | Refused]


def check_fields(
    given: Mapping[str, Any],
    known: Container[str],
    table: FieldTable,
    strict: bool,
    names: tuple[str, ...],
) -> None:
    """Raises PydanticCustomError for a field that is refused by the table, and for one that nobody
    knows if `strict`; else it is warned of. `names`: those that may have been meant."""
    for name, value in given.items():
        if name in known:
            continue
        if name in table:
            if (said := refusal(name, value, table)) is not None:
                raise PydanticCustomError(NOT_HERE, literal(said))
            continue
        said = unknown(name, names)
        if strict:
            raise PydanticCustomError(NOT_HERE, literal(said))
        warn(f"{said}; it is ignored")


def refusal(name: str, value: Any, table: FieldTable) -> str | None:
    """Why a field of the table may not have this value; None: it may."""
    match table[name]:
        case Ignored():
            return None
        case Refused(why, but):
            if any(same(value, one) for one in but):
                return None
            return f"{name}: {why}, found {shown(value)}"


def same(value: Any, other: Any) -> bool:
    """Whether JSON writes both alike, but that 1 is 1.0: to Python 0 and false are equal."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def only(why: str, *values: str) -> Any:
    """These values alone: any other is refused with the reason, and what to do instead."""

    def check(given: Any) -> Any:
        if given not in values:
            raise ValueError(f"must be {' or '.join(values)}: {why}")
        return given

    return BeforeValidator(check)


def unknown(name: str, names: tuple[str, ...]) -> str:
    """What is said of a field that nobody knows."""
    near = get_close_matches(name, names, 1) if len(name) <= LONGEST_NAME else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{name[:LONGEST_NAME]}: unknown field{hint}"


def literal(message: str) -> Any:
    """A message that is no template, for pydantic, whose stubs ask for a literal."""
    return message
