"""What clients ask of the form of an answer, as a grammar of llguidance.

A grammar is text, and the same for the same constraint: it travels with the request, and every
engine makes the same masks of it.
"""

from typing import Any

from llguidance import LLMatcher, StructTag

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.calls import CallableTool, CallWish, CannotCall, calls_grammar
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.gbnf import is_gbnf, lark_of
from raylax.proto.grammar.limits import MOST_BYTES
from raylax.proto.grammar.rules import NOTHING, json_of, literal, styled
from raylax.proto.grammar.schema import Unenforceable, enforced
from raylax.proto.grammar.style import JSON_STYLE
from raylax.proto.parsers.tools.kind import CallFormat, PairFormat


def grammar_of(constraint: Constraint) -> str:
    """The grammar. Raises InvalidRequest for what is none of its kind, or too large."""
    kind, field = constraint.kind, constraint.field
    try:
        grammar = WRITERS[kind](constraint)
    except RecursionError:
        raise InvalidRequest(f"{field}: is nested too deeply", param=field) from None
    except CannotCall as error:
        param = f"{field}.{error.tool}"
        raise InvalidRequest(f"{param}: {error}", param=param) from None
    except Unenforceable as error:
        raise InvalidRequest(f"{field}: {error}", param=field) from None
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        what = "" if kind == "calls" else f"is no {kind}: "
        raise InvalidRequest(f"{field}: {what}{error}", param=field) from None
    if (size := len(grammar.encode())) > MOST_BYTES:
        raise InvalidRequest(
            f"{field}: a grammar may have {MOST_BYTES} bytes, this one has {size}", param=field
        )
    return grammar


def of_schema(constraint: Constraint) -> str:
    """JSON that validates."""
    schema = {} if constraint.value is True else constraint.value
    if not isinstance(schema, dict):
        raise TypeError(f"a schema is an object, found {schema!r:.40}")
    told = enforced(schema, not constraint.lenient)
    return LLMatcher.grammar_from_json_schema(told, overrides=json_style(constraint))


def json_style(constraint: Constraint) -> Any:
    """How JSON is written, as llguidance is told."""
    style: dict[str, Any] = {**JSON_STYLE, "lenient": constraint.lenient}
    if constraint.whitespace is not None:
        style |= {"item_separator": ",", "key_separator": ":", "whitespace_flexible": True}
        style["whitespace_pattern"] = constraint.whitespace
    return style


def of_regex(constraint: Constraint) -> str:
    return LLMatcher.grammar_from_regex(constraint.value)


def of_choice(constraint: Constraint) -> str:
    """One of some texts. They are one expression: as rules they would be too many at a time."""
    if not constraint.value:
        raise ValueError("must have a text to choose")
    texts = " | ".join(literal(text) or NOTHING for text in dict.fromkeys(constraint.value))
    return LLMatcher.grammar_from_lark(f"start: CHOICE\nCHOICE: {texts}")


def of_grammar(constraint: Constraint) -> str:
    """Lark's notation, or GBNF's and EBNF's, whose rules are defined by ::=."""
    given = str(constraint.value)
    if not given.strip():
        raise ValueError("must not be empty")
    return LLMatcher.grammar_from_lark(lark_of(given) if is_gbnf(given) else given)


def of_structural_tag(constraint: Constraint) -> str:
    """Text in which certain beginnings lead to what must then follow."""
    value = constraint.value
    tags = [
        StructTag(
            trigger=next(one for one in value["triggers"] if tag["begin"].startswith(one)),
            begin=tag["begin"],
            grammar=styled(tag["schema"], lenient=False),
            end=tag["end"],
        )
        for tag in value["structures"]
    ]
    return LLMatcher.grammar_from_lark(StructTag.to_grammar(tags, assume_special=False))


def of_calls(constraint: Constraint) -> str:
    """Calls of tools, or what else the answer may be."""
    value = constraint.value
    told, pairs = value["format"], value["format"]["pairs"]
    form = None if value["form"] is None else Constraint(*value["form"])
    if form is not None and form.kind != "json_schema":
        raise ValueError(f"beside tools an answer may be JSON or text; {form.field} asks for more")
    wish = CallWish(
        CallFormat(**{**told, "pairs": None if pairs is None else PairFormat(**pairs)}),
        [CallableTool(*one) for one in value["tools"]],
        value["must"],
        value["parallel"],
        value["special"],
        None if form is None else json_of(form.value, form.lenient),
    )
    return calls_grammar(wish)


WRITERS = {
    "calls": of_calls,
    "json_schema": of_schema,
    "regex": of_regex,
    "choice": of_choice,
    "grammar": of_grammar,
    "structural_tag": of_structural_tag,
}
