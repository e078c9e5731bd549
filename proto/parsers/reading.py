"""A parser that is written as a reader: one generator, from the first letter to the last."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from raylax.proto.parsers.base import Content
from raylax.proto.parsers.source import Reading, Source


class ReadingParser(ABC):
    """Runs a reader as an `OutputParser`, as far as the text suffices."""

    def __init__(self) -> None:
        self.source = Source()
        self.done = self.thinking = False
        self._run: Iterator[Content | None] | None = None
        # Made by the first text: a call is written down before, and generators cannot be.

    @abstractmethod
    def _read(self) -> Reading[None]:
        """Reads the whole text."""

    def add(self, text: str) -> list[Content]:
        self.source.add(text)
        return self._found()

    def finish(self) -> list[Content]:
        self.source.ended = True
        return self._found()

    def _found(self) -> list[Content]:
        if self._run is None:
            self._run = self._read()
        found = list[Content]()
        for one in self._run:
            if one is None:
                break
            found.append(one)
        return found
