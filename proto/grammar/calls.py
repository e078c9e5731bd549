"""Calls of tools as a grammar: in the model's own format, of functions that are offered, with
arguments that are what their schemas say.

Where a call must be made the answer is nothing else. Where one may be made, the answer is text as
ever, and behind the mark with which calls begin nothing but a call follows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from raylax.proto.grammar.arguments.rule import arguments_rule, input_rule
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.rules import Rules, literal
from raylax.proto.grammar.schema import Unenforceable
from raylax.proto.parsers.notation import quoted
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, is_name

MOST_CALLS = 64
"""In one answer."""
LEAST_MARK = 3
"""Characters with which calls begin: what is shorter stands in any text."""
ANY_TEXT = r"/(.|\n)*/"


class CallableTool(NamedTuple):
    """A function that may be called."""

    name: str
    schema: dict[str, Any]
    """Of its arguments."""
    strict: bool
    """Whether what of the schema cannot be enforced is an error."""
    input: Sequence[Any] | None = None
    """The fields of a `Constraint` of the text that is its only argument."""


class CallWish(NamedTuple):
    """Which calls an answer has, or may have."""

    format: CallFormat
    tools: Sequence[CallableTool]
    must: bool
    """It is a call, or several; else it may be text, with calls at its end."""
    parallel: bool
    """It may have several."""
    special: Mapping[str, int]
    """Ids of the marks of the format that are special tokens."""
    else_: str | None = None
    """What the answer is where it is no call, as a rule's body; None: text."""


class CannotCall(ValueError):
    """The arguments of this tool cannot be held to their schema in the format."""

    def __init__(self, tool: int, why: str) -> None:
        super().__init__(why)
        self.tool = tool


def calls_grammar(wish: CallWish) -> str:
    """In Lark's notation. Raises CannotCall, and ValueError where calls have no mark by which text
    could be told from them."""
    rules, opening = Rules(wish.special), wish.format.first + wish.format.before_name
    arguments = [arguments_of(rules, wish, at) for at in range(len(wish.tools))]
    if wish.must:
        return rules.lark(calls(rules, wish, opening, arguments))
    text = rules.terminal("TEXT", ANY_TEXT)
    if wish.else_ is not None or wish.format.before_text:
        other = rules.add("other", f"{rules.text(wish.format.before_text)} {wish.else_ or text}")
        return rules.lark(f"{other} | {calls(rules, wish, opening, arguments)}")
    mark = next((one for one in wish.special if opening.startswith(one)), None)
    if mark is not None:
        return rules.lark(f"{text} ({calls(rules, wish, opening, arguments)})?")
    mark = opening.partition("\n")[0]
    if len(mark) < LEAST_MARK:
        raise ValueError(
            "calls of this model begin with no mark, so they can only be held to a schema where "
            "they must be made: tool_choice required, or a function"
        )
    before = rules.add("before", f"{text} {literal(mark)}", attributes="[lazy]")
    behind = calls(rules, wish, opening.removeprefix(mark), arguments)
    return rules.lark(f"{text} | {before} {behind}")


def arguments_of(rules: Rules, wish: CallWish, tool: int) -> str:
    """The rule of a tool's arguments."""
    one = wish.tools[tool]
    if not (wish.format.quotes_names or is_name(one.name)):
        raise CannotCall(
            tool,
            f"name: this model's calls have names of 1 to {LONGEST_NAME} characters, without white "
            f"space, brackets, quotes, backslashes, commas and =, found {one.name!r:.80}",
        )
    try:
        if one.input is not None:
            return input_rule(rules, wish.format, one.schema, Constraint(*one.input))
        return arguments_rule(rules, wish.format, one.schema, one.strict)
    except Unenforceable as error:
        raise CannotCall(tool, str(error)) from None


def name_in(format: CallFormat, tool: CallableTool) -> str:
    """The name of a tool as a call has it."""
    return quoted(tool.name) if format.quotes_names else tool.name


def calls(rules: Rules, wish: CallWish, opening: str, arguments: Sequence[str]) -> str:
    """A call, or several if there may be, that begin with `opening`."""
    format = wish.format

    def one_of(before: str) -> str:
        """A call of any of the tools, with this before its name."""
        return " | ".join(
            f"{rules.text(before + name_in(format, tool) + format.after_name)} {given} "
            f"{rules.text(format.after_arguments)}"
            for tool, given in zip(wish.tools, arguments, strict=True)
        )

    made = rules.add("first", one_of(opening))
    if wish.parallel and len(wish.tools):
        next_ = rules.add("next", one_of(format.between + format.before_name))
        made = f"{made} {next_}{{0,{MOST_CALLS - 1}}}"
    return f"{made} {rules.text(format.last)}"
