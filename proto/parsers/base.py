"""What a parser of generated text is, and what it finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that the client has offered."""

    id: str
    index: int
    """Its place among the calls of its choice, from 0."""
    name: str
    arguments: str
    """JSON, as OpenAI's API has it."""


Content: TypeAlias = str | ToolCall
"""What a part of an answer turned out to be: text, for the reader or the next parser, or a call. A
list has them in the order in which they were said."""


def joined(contents: Iterable[Content]) -> tuple[Content, ...]:
    """The same, with texts that follow each other made one, and none empty."""
    out: list[Content] = []
    for kind, group in groupby(contents, type):
        if kind is not str:
            out += group
        elif text := "".join(map(str, group)):
            out.append(text)
    return tuple(out)


class CallMaker(Protocol):
    """Makes the calls of one choice."""

    def of(self, text: str) -> ToolCall | None:
        """The call that is written there; None if it is none."""
        ...


class OutputParser(Protocol):
    """Reads the text of one choice as it streams, piece by piece and in order.

    Laws: what only looks like more than text is given back as text; text is held back only while
    it may yet be more; the pieces in which it comes make no difference; the same text gives the
    same, ids included, so that an answer can be replayed.
    """

    def add(self, text: str) -> list[Content]:
        """What is certain after this piece."""
        ...

    def finish(self) -> list[Content]:
        """What was held back; nothing is added afterwards."""
        ...


class ToolParserKind(Protocol):
    """A format in which models write tool calls."""

    @property
    def MARKS(self) -> tuple[str, ...]:
        """What it looks for: shown to it as text also where they are special tokens."""
        ...

    def __call__(self, calls: CallMaker) -> OutputParser: ...
