"""Takes out what a model thinks before it speaks.

    <think>
    ...
    </think>

It may begin there without the first mark: where the prompt ends with it, or the model is known to.
"""

from typing import NamedTuple

from raylax.proto.parsers.base import Thought
from raylax.proto.parsers.reading import ReadingParser
from raylax.proto.parsers.source import Reading, Some


class ThoughtMarks(NamedTuple):
    """How a family of models marks what it thinks."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    around: tuple[str, str] | None = None
    """What may stand around that which is said after it."""
    close: str = ""
    """What is written where a thought is to end, if that is more than the first mark of an end."""
    between: str = ""
    """Behind the end, before what follows."""
    before_text: str = ""
    """Before what is said that is no call."""
    tokens: tuple[str, ...] = ()
    """Of all this what may be special tokens, if that is less than a mark."""
    always: bool = False
    """Whether answers begin with a thought that has no first mark, whatever the prompt."""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.opens, *self.closes, *(self.around or ()))

    def is_open_after(self, prompt: str) -> bool:
        """Whether an answer to this prompt, or to one that ends with it, begins with a thought."""
        ends = prompt.rstrip()
        return not ends.endswith(self.closes) and (self.always or ends.endswith(self.opens))

    def is_open_in(self, said: str) -> bool:
        """Whether an answer that goes on with this begins within a thought."""
        begun = max(said.rfind(mark) for mark in self.opens)
        return begun > max(said.rfind(mark) for mark in self.closes)


class ThinkingParser(ReadingParser):
    """An `OutputParser` of one thought, at the beginning of an answer. White space around it is
    none of it, nor of what follows."""

    def __init__(self, marks: ThoughtMarks, inside: bool) -> None:
        """`inside`: whether it begins within a thought."""
        super().__init__()
        self._marks, self.thinking = marks, inside

    def _read(self) -> Reading[None]:
        source, marks = self.source, self._marks
        if (yield from self._one_of(marks.opens)) or self.thinking:
            self.thinking = True
            yield from source.blank()
            yield from thoughts(source.up_to(marks.closes))
            self.thinking = False
            yield from source.blank()
            if marks.around is not None and (yield from source.may(marks.around[0])):
                yield from source.blank()
                yield from said(source.up_to(marks.around[1:]))
        self.done = True
        yield from said(source.up_to(()))

    def _one_of(self, marks: tuple[str, ...]) -> Reading[bool]:
        """Whether one of these follows, behind white space or not; then both were read."""
        for mark in marks:
            if (yield from self.source.may_after_blank(mark)):
                return True
        return False


def thoughts(pieces: Some) -> Reading[None]:
    """The pieces as thoughts, without the white space at their end."""
    blank = ""
    for piece in pieces:
        if piece is None:
            yield None
            continue
        text = (blank + piece).rstrip()
        blank = (blank + piece)[len(text) :]
        if text:
            yield Thought(text)


def said(pieces: Some) -> Reading[None]:
    for piece in pieces:
        if piece != "":
            yield piece
