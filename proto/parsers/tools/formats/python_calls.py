"""Finds tool calls in generated text that is nothing else, written as in Python: gorilla's form,
and that of MLC-LLM's packages whose template shows tools.

    look(city="Rome", days=[1, 2])        one call
    [look(city="Rome"), look(city="Oslo")]        several, as texts in quotes, too

Only literals stand for arguments, each with its name. Text that is no call stays text.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from raylax.proto.parsers.base import CallEnded, CallPiece, Content
from raylax.proto.parsers.notation import LARGEST, rewritten
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import OfferedTools

BEGINNING = re.compile(r"\s*(?:\[\s*['\"]?\s*)?(?:([A-Za-z_]\w*)\s*)?")
"""Of a call, up to its bracket."""
LONGEST_BEGINNING, MOST = 256, 1 << 14
"""Characters. More than the latter are no call: Python's own parser reads them, which takes 10 ms
for as many."""
NO_CALL = SyntaxError, ValueError, TypeError, RecursionError, MemoryError, Warning
"""What Python makes of text that is none."""


class PythonToolParser:
    """An `OutputParser` of answers that are calls from their first letter to their last."""

    MARKS = ()
    thinking = False
    FORMAT = CallFormat(
        before_name="",
        after_name="(",
        after_arguments=")",
        first="[",
        between=", ",
        last="]",
        arguments="python",
    )

    def __init__(self, tools: OfferedTools) -> None:
        self._tools = tools
        self._held: list[str] | None = []
        """What may be calls yet; None once it is known to be text."""
        self._length, self._began = 0, False

    @property
    def done(self) -> bool:
        return self._held is None

    def add(self, text: str) -> list[Content]:
        if self._held is None:
            return [text]
        self._held.append(text)
        self._length += len(text)
        return [] if self._may_be_calls() else self._give_up()

    def finish(self) -> list[Content]:
        if self._held is None:
            return []
        held = "".join(self._held)
        return list(self._read(held)) or self._give_up()

    def _may_be_calls(self) -> bool:
        if not self._began and self._held is not None:
            begun = "".join(self._held)
            before, bracket, _ = begun.partition("(")
            like = BEGINNING.fullmatch(before)
            if like is None or len(before) > LONGEST_BEGINNING or (bracket and not like[1]):
                return False
            self._began = bool(bracket)
        return self._length <= MOST

    def _give_up(self) -> list[Content]:
        held, self._held = self._held or [], None
        return ["".join(held)]

    def _read(self, text: str) -> Iterator[Content]:
        """The calls that a text is; none if it is anything else."""
        try:
            calls = calls_in(text.strip())
            written = [json.dumps(arguments, allow_nan=False) for _, arguments in calls]
        except NO_CALL:
            return
        checked = [rewritten(one) for one in written]
        if None in checked or not all(name in self._tools for name, _ in calls):
            return
        for (name, _), arguments in zip(calls, checked, strict=True):
            begun = self._tools.begin(name)
            yield begun
            yield CallPiece(begun.index, arguments or "")
            yield CallEnded(begun.index)


def calls_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments. Raises one of NO_CALL for a text that is no call, and no list of
    them."""
    node = ast.parse(text, mode="eval").body
    listed = node.elts if isinstance(node, ast.List) else [node]
    return [call_of(one) for one in listed]


def call_of(node: ast.expr) -> tuple[str, dict[str, Any]]:
    """A call, or the text of one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value.strip(), mode="eval").body
    match node:
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            arguments = {
                one.arg: within_floats(ast.literal_eval(one.value)) for one in keywords if one.arg
            }
            if len(arguments) == len(keywords):
                return name, arguments
    raise ValueError("no call with named arguments")


def within_floats(value: Any) -> Any:
    """A value whose numbers are the largest float at most: larger ones are none in Python."""
    match value:
        case float():
            return min(max(value, -LARGEST), LARGEST)
        case list() | tuple():
            return [within_floats(one) for one in value]
        case dict():
            return {key: within_floats(one) for key, one in value.items()}
    return value
