"""How a body, or fields, become a request, and what is said of those that are none."""

import re
from typing import Any, TypeVar

from pydantic import ValidationError

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai import field_rules
from raylax.proto.openai.field_rules import STRICT
from raylax.proto.openai.shared import MOST_VALUES, OF_A_CONTAINER, StrictModel

Body = TypeVar("Body", bound=StrictModel)
BRANCH = re.compile(r"str|constrained-str|list\[.*|\[.*\]")
"""How pydantic and `kind_of` name the branches of unions in the path of an error."""


def parse_body(kind: type[Body], raw: bytes | str, strict_fields: bool = False) -> Body:
    """The request in a body; what is wrong with it is a 400 that names the field. `strict_fields`:
    a field that nobody knows is wrong, too; else it is warned of."""
    values = values_in(raw.encode() if isinstance(raw, str) else raw)
    if values > MOST_VALUES:
        raise InvalidRequest(
            f"the body may have {MOST_VALUES} values, of which a list or an object counts as "
            f"{OF_A_CONTAINER}; it has up to {values}"
        )
    try:
        return kind.model_validate_json(raw, context={STRICT: strict_fields})
    except ValidationError as error:
        raise invalid(error) from None


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
