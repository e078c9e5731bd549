"""What can be asked of the form of an answer, as plain values."""

from typing import Any, Literal, NamedTuple

Kind = Literal["json_schema", "regex", "choice", "grammar", "structural_tag", "calls"]
ANY_OBJECT: dict[str, Any] = {"type": "object"}


class Constraint(NamedTuple):
    """One wish for the form of an answer."""

    kind: Kind
    value: Any
    """json_schema: a schema, as a value. regex, grammar: text. choice: texts. structural_tag: an
    object. calls: what `raylax.proto.calls.forms` makes of tools."""
    field: str
    """Of the body, where a client finds what an error is about."""
    whitespace: str | None = None
    """A regular expression of what may stand between the tokens of JSON; None: as Python writes
    it."""
    lenient: bool = False
    """Whether keywords of a schema that cannot be enforced are passed over; else they are named."""
