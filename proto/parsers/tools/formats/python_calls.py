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
from raylax.proto.parsers.source import Deviation, Source, Waiting, text_of
from raylax.proto.parsers.tools.formats.llama4 import keyword_pieces
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME, OfferedTools

BEGINNING = re.compile(rf"\s*(?:\[\s*['\"]?\s*)?(?:({NAME.pattern.removesuffix('*')}+)\s*)?")
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
        calls = calls_of_python(text) or calls_by_name(text)
        if not all(name in self._tools for name, _ in calls):
            return
        for name, arguments in calls:
            begun = self._tools.begin(name)
            yield begun
            yield CallPiece(begun.index, arguments)
            yield CallEnded(begun.index)


def calls_of_python(text: str) -> list[tuple[str, str]]:
    """Names and arguments, as JSON, of the calls that a text is in Python; none if it is no such
    text."""
    try:
        calls = calls_in(text.strip())
        made = [(name, rewritten(json.dumps(one, allow_nan=False))) for name, one in calls]
    except NO_CALL:
        return []
    found = [(name, written) for name, written in made if written is not None]
    return found if len(found) == len(made) else []


def calls_by_name(text: str) -> list[tuple[str, str]]:
    """The same where a function or an argument has a name that is none in Python, as `from`."""
    source = Source()
    source.add(text.strip())
    source.ended = True
    reading = listed(source)
    try:
        while True:
            next(reading)
    except StopIteration as end:
        found: list[tuple[str, str]] = end.value
        return found
    except Deviation:
        return []


def listed(source: Source) -> Waiting[list[tuple[str, str]]]:
    """One call, or the list of them that begins here. Raises Deviation."""
    found, several = list[tuple[str, str]](), (yield from source.may("["))
    while True:
        yield from source.blank()
        name = yield from source.word(NAME, LONGEST_NAME)
        yield from source.blank()
        yield from source.must("(")
        arguments = (yield from text_of(keyword_pieces(source))) + "}"
        pairs = json.loads(arguments, object_pairs_hook=list)
        if len({key for key, _ in pairs}) < len(pairs):
            raise Deviation
        found.append((name, arguments))
        yield from source.blank()
        if not several or (yield from source.may("]")):
            break
        yield from source.must(",")
    if source.rest:
        raise Deviation
    return found


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
