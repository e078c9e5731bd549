"""What every parser keeps to, and how several of them read one text."""

import pytest

from raylax.proto.parsers import TOOL_PARSERS
from raylax.proto.parsers.base import OutputParser, ParsedText, ToolCall
from raylax.proto.parsers.calls import CallIds, JsonCalls
from raylax.proto.parsers.chain import ParserChain

TEXTS = ["", "plain text", "a < b, <b>c</b> and {", " white \n space ", "<", "\n"]


class Shouting:
    """Takes capital letters out, as calls; holds the last letter back, as parsers may."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> ParsedText:
        seen, self._held = (self._held + text)[:-1], (self._held + text)[-1:]
        return self._read(seen)

    def finish(self) -> ParsedText:
        return self._read(self._held)

    def _read(self, text: str) -> ParsedText:
        calls = [ToolCall(letter, 0, letter, "{}") for letter in text if letter.isupper()]
        return ParsedText("".join(letter for letter in text if not letter.isupper()), calls)


class Dashes:
    """Calls every dash."""

    def add(self, text: str) -> ParsedText:
        dashes = text.count("-")
        return ParsedText(text.replace("-", ""), [ToolCall("-", 0, "-", "{}")] * dashes)

    def finish(self) -> ParsedText:
        return ParsedText()


def read(parser: OutputParser, text: str, size: int) -> ParsedText:
    whole = ParsedText()
    for begin in range(0, len(text), size):
        whole.extend(parser.add(text[begin : begin + size]))
    whole.extend(parser.finish())
    return whole


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", TOOL_PARSERS)
def test_text_without_calls_stays_as_it_is(name: str, text: str, size: int) -> None:
    assert read(TOOL_PARSERS[name](JsonCalls(CallIds("c"))), text, size) == ParsedText(text)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_each_parser_reads_what_the_one_before_it_leaves(size: int) -> None:
    """Their last words included; nothing is said twice."""
    found = read(ParserChain([Shouting(), Dashes()]), "aB-cD-E", size)

    assert found.text == "ac"
    assert sorted(call.name for call in found.calls) == ["-", "-", "B", "D", "E"]


def test_without_parsers_text_is_text() -> None:
    chain = ParserChain([])

    assert (chain.add("<tool_call>"), chain.finish()) == (ParsedText("<tool_call>"), ParsedText())
