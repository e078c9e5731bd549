"""The arguments of a call as a rule, by their schema, in each of the ways in which formats write
them: a JSON object, pairs of keys and bare values, or Python's keyword arguments."""

from collections.abc import Mapping
from typing import Any

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.arguments.inputs import written_grammar
from raylax.proto.grammar.arguments.pair_values import PairValues
from raylax.proto.grammar.arguments.python_values import PythonValues
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.rules import Rules, json_of
from raylax.proto.grammar.schema import Unenforceable, resolved
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.value_kinds import KINDS, listed


def arguments_rule(
    rules: Rules, format: CallFormat, schema: Mapping[str, Any], strict: bool
) -> str:
    """The name of a rule. Raises Unenforceable for what is strict, and cannot be enforced."""
    kinds, told = {*listed(schema.get("type"))}, schema
    if not kinds or "object" in kinds:
        told = {**schema, "type": "object"}
    elif kinds <= {*KINDS.values()}:
        raise Unenforceable(f"type: arguments are an object, found {schema['type']!r:.80}")
    match format.arguments:
        case "json":
            return rules.add("arguments", json_of(told, not strict))
        case "pairs":
            assert format.pairs is not None
            return PairValues(rules, format.pairs, resolved(told), strict).rule()
        case "python":
            return PythonValues(rules, resolved(told), strict).rule()


def input_rule(
    rules: Rules, format: CallFormat, schema: Mapping[str, Any], wish: Constraint
) -> str:
    """The name of a rule of arguments that are one text, in a form of its own. Raises
    InvalidRequest for one that cannot be written in this format."""
    (name,) = schema["properties"]
    try:
        text = rules.other(written_grammar(wish, as_text=format.arguments != "pairs"))
    except ValueError as error:
        raise InvalidRequest(f"{wish.field}: {error}", param=wish.field) from None
    match format.arguments:
        case "json":
            before, after = f'{{"{name}": "', '"}'
        case "pairs":
            assert (marks := format.pairs) is not None
            before, after = marks.before_key + name + marks.after_key, marks.after_value
        case "python":
            before, after = f'{name}="', '"'
    return rules.add("arguments", f"{rules.text(before)} {text} {rules.text(after)}")
