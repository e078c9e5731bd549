"""What a parser of generated text is, and what it finds."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that the client has offered."""

    id: str
    index: int
    """Its place among the calls of its choice, from 0."""
    name: str
    arguments: str
    """JSON, as OpenAI's API has it."""


@dataclass(slots=True)
class ParsedText:
    """What one piece of an answer turned out to be; another kind of content is another field."""

    text: str = ""
    """Meant for the reader, or for the next parser."""
    calls: list[ToolCall] = field(default_factory=list)

    def extend(self, later: "ParsedText") -> None:
        """Append what was found after this."""
        self.text += later.text
        self.calls += later.calls


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

    def add(self, text: str) -> ParsedText:
        """What is certain after this piece."""
        ...

    def finish(self) -> ParsedText:
        """What was held back; nothing is added afterwards."""
        ...


class ToolParserKind(Protocol):
    """A format in which models write tool calls."""

    @property
    def MARKS(self) -> tuple[str, ...]:
        """What it looks for: shown to it as text also where they are special tokens."""
        ...

    def __call__(self, calls: CallMaker) -> OutputParser: ...
