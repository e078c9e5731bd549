"""Several parsers of one text, one after another."""

from collections.abc import Sequence

from raylax.proto.parsers.base import OutputParser, ParsedText


class ParserChain:
    """An `OutputParser` of several: each is fed with the text that the one before it leaves. What
    a model says first (its reasoning) is taken out first. Without parsers text stays as it is.
    """

    def __init__(self, parsers: Sequence[OutputParser]) -> None:
        self._parsers = tuple(parsers)

    def add(self, text: str) -> ParsedText:
        found = ParsedText(text)
        for parser in self._parsers:
            calls, found = found.calls, parser.add(found.text)
            found.calls = calls + found.calls
        return found

    def finish(self) -> ParsedText:
        found = ParsedText()
        for parser in self._parsers:
            calls, found = found.calls, parser.add(found.text)
            found.extend(parser.finish())
            found.calls = calls + found.calls
        return found
