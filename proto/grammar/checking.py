"""Whether a grammar can be used, found out before anything is asked of an engine.

It may take some time, and it is a stranger's program: routers have it done where it can be ended.
"""

from collections.abc import Iterable
from functools import cache

from llguidance import LLMatcher, LLTokenizer

from raylax.proto.errors import InvalidRequest
from raylax.proto.grammar.arguments.inputs import written_grammar
from raylax.proto.grammar.calls import CallableTool
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.limits import LIMITS
from raylax.proto.grammar.writing import grammar_of


@cache
def any_bytes() -> LLTokenizer:
    """A vocabulary of which each token is a byte."""
    return LLTokenizer("byte")


def checked_grammar(constraint: Constraint | None) -> str:
    """The grammar of what is asked for; empty: nothing is. Raises InvalidRequest."""
    if constraint is None:
        return ""
    told = constraint.value["tools"] if constraint.kind == "calls" else []
    tools = [CallableTool(*one) for one in told]
    for wish in inputs_of(tools):
        check(grammar_of(wish), wish.field)
    grammar = grammar_of(constraint)
    try:
        check(grammar, constraint.field)
    except InvalidRequest:
        for wish in inputs_of(tools):
            check(written_grammar(wish, as_text=True), wish.field)
        for at, tool in enumerate(tools):
            field = f"{constraint.field}.{at}"
            alone = Constraint("json_schema", tool.schema, field, lenient=not tool.strict)
            check(grammar_of(alone), field)
        if constraint.kind == "structural_tag":
            for at, tag in enumerate(constraint.value["structures"]):
                field = f"{constraint.field}.structures.{at}.schema"
                check(grammar_of(Constraint("json_schema", tag["schema"], field)), field)
        raise
    return grammar


def inputs_of(tools: Iterable[CallableTool]) -> list[Constraint]:
    """The forms of the texts that some of them take."""
    return [Constraint(*tool.input) for tool in tools if tool.input is not None]


def check(grammar: str, field: str) -> None:
    """Raises InvalidRequest, with what is wrong and where, for one that is malformed, asks for what
    llguidance does not have, cannot be satisfied, or is larger than `LIMITS`. Special tokens are a
    model's: only its engines know them."""
    is_wrong, said = LLMatcher.validate_grammar_with_warnings(grammar, limits=LIMITS)
    if not is_wrong and not any("special_token" in one for one in said):
        # expressions are compiled when they are first needed
        first = LLMatcher(any_bytes(), grammar, limits=LIMITS, log_level=0)
        first.compute_bitmask()
        is_wrong, said = first.is_error(), [first.get_error()]
    if is_wrong:
        raise InvalidRequest(f"{field}: {plain(said[0])}", param=field)


def plain(said: str) -> str:
    """What llguidance says, in one line, without how to turn its checks off."""
    if said.startswith("NoExtension"):
        return "no answer can be written in it: what it wants has no end, or cannot be"
    return " ".join(said.split()).partition(". Enable '")[0]
