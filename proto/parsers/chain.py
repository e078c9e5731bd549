"""Several parsers of one text, one after another."""

from collections.abc import Sequence

from raylax.proto.parsers.base import Content, OutputParser


class ParserChain:
    """An `OutputParser` of several: each is fed with the text that the one before it leaves. What
    a model says first (its reasoning) is taken out first. Without parsers text stays as it is.
    """

    def __init__(self, parsers: Sequence[OutputParser]) -> None:
        self._parsers = tuple(parsers)

    @property
    def done(self) -> bool:
        return all(parser.done for parser in self._parsers)

    @property
    def thinking(self) -> bool:
        return any(parser.thinking for parser in self._parsers)

    def add(self, text: str) -> list[Content]:
        found: list[Content] = [text]
        for parser in self._parsers:
            found = read_by(parser, found)
        return found

    def finish(self) -> list[Content]:
        found: list[Content] = []
        for parser in self._parsers:
            found = [*read_by(parser, found), *parser.finish()]
        return found


def read_by(parser: OutputParser, contents: Sequence[Content]) -> list[Content]:
    """The contents, with what the parser makes of their text."""
    read: list[Content] = []
    for one in contents:
        read += parser.add(one) if isinstance(one, str) else (one,)
    return read
