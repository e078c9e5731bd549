"""What a body of any API is made of: models whose fields are checked strictly, and their errors."""

import re
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai import field_rules
from raylax.proto.openai.field_rules import STRICT, FieldTable, check_fields

MOST_VALUES = 1 << 18
"""Values in one body, a list or an object counting as `OF_A_CONTAINER`, for so much longer does one
take. They are counted by their marks before anything is built: a parser takes seconds for millions
of them, and the interpreter can do nothing else meanwhile."""


OF_A_CONTAINER = 4
STREAMED = "streamed"
"""Key of a validation's context: bodies that do not say ask for a stream."""


def BoundedList(most: int, least: int = 0) -> Any:
    """The bounds of a list. Only its first fault is looked for, since it may have a million."""
    return Field(min_length=least, max_length=most, fail_fast=True)


class StrictModel(BaseModel):
    """Types are not converted: "5" is no number. A field that is null is as good as absent, at any
    depth: many clients write what they leave open as null. A field that it has not is looked for in
    the table `not_here`."""

    model_config = ConfigDict(strict=True)
    not_here: ClassVar[FieldTable] = {}
    names: ClassVar[frozenset[str]] = frozenset()
    """Of its fields, as they are written."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.names = frozenset(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def known_fields(cls) -> tuple[str, ...]:
        """Names of which it is known what they mean."""
        return (*cls.names, *cls.not_here)

    @model_validator(mode="before")
    @classmethod
    def _look_at_fields(cls, fields: Any, info: ValidationInfo) -> Any:
        if not isinstance(fields, dict):
            return fields
        given = {name: value for name, value in fields.items() if value is not None}
        if not given.keys() <= cls.names:
            strict = bool((info.context or {}).get(STRICT))
            check_fields(given, cls.names, cls.not_here, strict, cls.known_fields())
        return given


Body = TypeVar("Body", bound=StrictModel)


BRANCH = re.compile(r"str|constrained-str|(list|dict)\[.*|\[.*\]")
"""How pydantic and `kind_of` name the branches of unions in the path of an error."""


def parse_body(
    kind: type[Body], raw: bytes | str, strict_fields: bool = False, streamed: bool = False
) -> Body:
    """The request in a body; what is wrong with it is a 400 that names the field. `strict_fields`:
    a field that nobody knows is wrong, too; else it is warned of. `streamed`: the answer is a
    stream if the body does not say."""
    check_values(raw.encode() if isinstance(raw, str) else raw, "the body")
    try:
        context = {STRICT: strict_fields, STREAMED: streamed}
        return kind.model_validate_json(raw, context=context)
    except ValidationError as error:
        raise invalid(error) from None


def check_values(raw: bytes, what: str) -> None:
    """Raises InvalidRequest for JSON, of `what`, that would take seconds."""
    if (values := values_in(raw)) > MOST_VALUES:
        raise InvalidRequest(
            f"{what} may have {MOST_VALUES} values, of which a list or an object counts as "
            f"{OF_A_CONTAINER}; it has up to {values}"
        )


def values_in(raw: bytes) -> int:
    """At most so many values are in a body: what stands in its texts is counted, too."""
    return raw.count(b",") + OF_A_CONTAINER * (raw.count(b"{") + raw.count(b"["))


def validated(kind: type[Body], fields: dict[str, Any]) -> Body:
    """The request that these fields make; what is wrong with it is a 400 that names the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRequest:
    """The first error, with its field. Of a union every branch says what it misses: the one of the
    right type was meant, or else the one that got furthest."""
    errors = error.errors(include_url=False, include_context=False)
    meant = max(errors, key=lambda one: (not one["type"].endswith("_type"), len(one["loc"])))
    parts = [str(part)[:64] for part in meant["loc"]]  # a client's key may be long
    path = ".".join(part for part in parts if not BRANCH.fullmatch(part))
    message, found = meant["msg"].removeprefix("Value error, "), shown(meant["input"])
    match meant["type"]:
        case "json_invalid":
            return InvalidRequest(f"the body is not valid JSON: {message}")
        case "model_type" if not path:
            return InvalidRequest(f"the body must be a JSON object, found {found}")
        case field_rules.NOT_HERE:
            name, _, why = message.partition(": ")
            at = f"{path}.{name}" if path else name
            return InvalidRequest(f"{at}: {why}", param=at)
        case "missing":
            return InvalidRequest(f"{path}: {message}", param=path)
    if not path:  # a rule over several fields, which begins with the one at fault
        return InvalidRequest(message, param=message.split(":")[0])
    return InvalidRequest(f"{path}: {message}, found {found}", param=path)


def kind_of(part: Any, default: str | None = None) -> str | None:
    """The branch of a union that a part's `type` names. The brackets keep it out of an error's
    path."""
    kind = part.get("type", default) if isinstance(part, dict) else getattr(part, "type", default)
    return f"[{kind}]" if isinstance(kind, str) else None
