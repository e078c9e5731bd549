"""What most parsers of tool calls share: text up to a mark, then calls, then text again."""

from abc import abstractmethod
from typing import ClassVar

from raylax.proto.parsers.base import (
    CallBroken,
    CallEnded,
    CallPiece,
)
from raylax.proto.parsers.reading import ReadingParser
from raylax.proto.parsers.source import Deviation, Pieces, Reading
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import OfferedTools


class ScanningParser(ReadingParser):
    """An `OutputParser` that looks for marks, and reads calls behind them.

    A call is told once it is certain to be one: its function is offered, and its arguments have
    begun. What deviates from the format before that is text, and is read as such behind its mark;
    what deviates later breaks the call, and text goes on where it broke.
    """

    MARKS: ClassVar[tuple[str, ...]]
    """What may stand before calls, or around them."""
    OPENS: ClassVar[tuple[str, ...]]
    """Those of the marks that stand before calls."""
    FORMAT: ClassVar[CallFormat]
    UNMARKED: ClassVar[bool] = False
    """Whether an answer may begin with calls without a mark."""

    def __init__(self, tools: OfferedTools) -> None:
        super().__init__()
        self.tools = tools
        self._open: int | None = None  # the call that was told of, and has not ended
        self._blank: list[str] | None = None  # white space after a call
        self._again = 0  # how much of what is kept is text, should there be no call

    @abstractmethod
    def calls(self, mark: str) -> Reading[None]:
        """Reads one or more calls behind a mark (empty: at the beginning of an answer that has
        none), by `begin`, `tell` and `end`, and what stands around them. Raises Deviation."""

    def begin(self, name: str) -> Reading[int]:
        """Tells of a call whose arguments are there, by its index. Raises Deviation for a function
        that is not offered."""
        if name not in self.tools:
            raise Deviation
        call = self.tools.begin(name)
        self._open = call.index
        yield call
        return call.index

    def tell(self, call: int, arguments: Pieces) -> Reading[None]:
        """Tells of arguments as they come."""
        for piece in arguments:
            if piece is None:
                yield None
            elif piece:
                yield CallPiece(call, piece)

    def end(self, call: int) -> Reading[None]:
        """The call is whole: its last brace is said."""
        yield CallPiece(call, "}")
        yield CallEnded(call)
        self._open, self._blank, self._again = None, [], 0
        self.source.keep()

    def close(self, mark: str) -> Reading[None]:
        """Reads the mark that closes what was read, if it is there, or begins at the very end."""
        source = self.source
        found = yield from source.may_after_blank(mark)
        if not found and source.ended and mark.startswith(source.rest.strip()):
            source.advance(len(source.rest))

    def _read(self) -> Reading[None]:
        if self.UNMARKED:
            yield from self._attempt("")
            self.done = not self.OPENS and self._blank is None
        while (mark := (yield from self._text_up_to_mark())) is not None:
            yield from self._attempt(mark)

    def _attempt(self, mark: str) -> Reading[None]:
        """Reads calls, or else the mark as text."""
        self._again = len(mark)
        self.source.keep(mark)
        try:
            yield from self.calls(mark)
        except Deviation:
            if self._open is not None:
                before = "".join(self._blank or ())
                yield CallBroken(self._open, before + self.source.kept)
                self._open = self._blank = None
            else:
                self.source.back()
                yield from self.say(self.source.advance(self._again))
        self.source.forget()

    def _text_up_to_mark(self) -> Reading[str | None]:
        """Says the text before the next mark, which is read; None at the end."""
        text = self.source.up_to(self.OPENS)
        while True:
            try:
                piece = next(text)
            except StopIteration as end:
                mark: str | None = end.value
                return mark
            if piece is None:
                yield None
            else:
                yield from self.say(piece)

    def say(self, text: str) -> Reading[None]:
        """White space after a call belongs to the format, unless text follows."""
        if self._blank is not None:
            self._blank.append(text)
            if not text.strip():
                return
            text, self._blank = "".join(self._blank), None
        if text:
            yield text
