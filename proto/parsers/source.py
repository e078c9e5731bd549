"""Text that arrives piece by piece, for readers that are written as if all of it were there.

A reader is a generator: it yields what it has found, and None where it has to wait for more text.
"""

import re
from collections.abc import Generator, Iterable
from functools import cache
from typing import TypeAlias, TypeVar

from raylax.proto.parsers.base import Content

Result = TypeVar("Result")
Reading: TypeAlias = Generator[Content | None, None, Result]
"""Finds contents; None: it waits."""
Pieces: TypeAlias = Generator[str | None, None, None]
"""Makes pieces of a text; None: it waits."""
Some: TypeAlias = Iterable[str | None]
"""The same, whatever comes of it at its end."""
Waiting: TypeAlias = Generator[None, None, Result]
"""Finds nothing but its result."""

BLANK = re.compile(r"\s*")


class Deviation(Exception):
    """The text is not in the form that was looked for. The source stands where it deviates, which
    is the same place however the text was cut."""


class Source:
    """Text with a place up to which it has been read. What was read is kept while a reader may yet
    go back. No character is moved more than a few times."""

    def __init__(self) -> None:
        self._text, self._at = "", 0
        self._kept: list[str] | None = None  # that is not in the text any more
        self._from = 0  # where in the text the rest of that begins
        self.ended = False

    def add(self, text: str) -> None:
        """What was read is dropped from the text, or else put where what is kept lies."""
        if self._kept is not None:
            self._kept.append(self._text[self._from : self._at])
        self._text, self._at, self._from = self._text[self._at :] + text, 0, 0

    def keep(self, before: str = "") -> None:
        """From here on; `before` has just been read, and is kept, too."""
        self._kept, self._from = [before], self._at

    @property
    def kept(self) -> str:
        """What was read since `keep`."""
        return "".join([*(self._kept or ()), self._text[self._from : self._at]])

    def back(self) -> None:
        """To where it was kept from."""
        before = "".join(self._kept or ())
        if self._text.endswith(before, 0, self._from):  # as it is, unless more came meanwhile
            self._at = self._from - len(before)
        else:
            self._text, self._at = before + self._text[self._from :], 0
        self._kept = None

    def forget(self) -> None:
        """Nobody goes back any more."""
        self._kept = None

    @property
    def rest(self) -> str:
        """What has come, and was not read."""
        return self._text[self._at :]

    def advance(self, count: int) -> str:
        """Reads so many characters, which are there."""
        self._at += count
        return self._text[self._at - count : self._at]

    def match(self, pattern: re.Pattern[str]) -> str:
        """Reads what matches, as far as it has come."""
        found = pattern.match(self._text, self._at)
        return self.advance(found.end() - self._at) if found else ""

    def up_to(self, marks: tuple[str, ...]) -> Generator[str | None, None, str | None]:
        """Gives the text before the first of the marks, as it comes, and reads that mark; None at
        the end."""
        pattern = any_of(marks)
        while True:
            if found := pattern.search(self._text, self._at):
                yield self.advance(found.start() - self._at)
                return self.advance(len(found[0]))
            rest = self.rest
            held = max((beginning_of(mark, rest) for mark in marks), default=0)
            yield self.advance(len(rest) - (0 if self.ended else held))
            if self.ended:
                return None
            yield None

    def peek(self, count: int = 1) -> Waiting[str]:
        """The next characters, fewer only at the end."""
        while len(self._text) - self._at < count and not self.ended:
            yield None
        return self._text[self._at : self._at + count]

    def blank(self) -> Waiting[None]:
        """Reads white space."""
        while True:
            self.match(BLANK)
            if self._at < len(self._text) or self.ended:
                return
            yield None

    def may(self, text: str) -> Waiting[bool]:
        """Whether this follows; then it was read."""
        while True:
            seen = self._text[self._at : self._at + len(text)]
            if seen == text:
                self._at += len(text)
                return True
            if self.ended or not text.startswith(seen):
                return False
            yield None

    def may_after_blank(self, text: str) -> Waiting[bool]:
        """Whether this follows, behind white space or not; then both were read."""
        while True:
            found = BLANK.match(self._text, self._at)
            assert found is not None
            begun, self._at = self._at, found.end()
            seen = self._text[self._at : self._at + len(text)]
            if seen == text:
                self._at += len(text)
                return True
            self._at = begun
            if self.ended or not text.startswith(seen):
                return False
            yield None

    def must(self, text: str) -> Waiting[None]:
        """Reads this. Raises Deviation."""
        if not (yield from self.may(text)):
            raise Deviation

    def word(self, pattern: re.Pattern[str], most: int) -> Waiting[str]:
        """Reads what matches, of at least one character and at most so many. Raises Deviation."""
        while True:
            found = pattern.match(self._text, self._at)
            size = found.end() - self._at if found else 0
            if size > most:
                raise Deviation
            if self._at + size < len(self._text) or self.ended:
                break
            yield None
        if not size:
            raise Deviation
        return self.advance(size)


@cache
def any_of(marks: tuple[str, ...]) -> re.Pattern[str]:
    """Finds the first of them, and of several the longest; of none, nothing."""
    longest_first = sorted(marks, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def text_of(pieces: Pieces) -> Waiting[str]:
    """All the pieces as one text."""
    found = []
    for one in pieces:
        if one is None:
            yield None
        else:
            found.append(one)
    return "".join(found)


def beginning_of(mark: str, text: str) -> int:
    """Length of the longest ending of `text` that begins `mark`."""
    most = min(len(mark) - 1, len(text))
    return next((n for n in range(most, 0, -1) if text.endswith(mark[:n])), 0)
