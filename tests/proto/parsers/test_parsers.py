"""What every parser keeps to, and how several of them read one text."""

import pytest

from raylax.proto.parsers import TOOL_PARSERS
from raylax.proto.parsers.base import Content, OutputParser, ToolCall, joined
from raylax.proto.parsers.calls import CallIds, JsonCalls
from raylax.proto.parsers.chain import ParserChain

TEXTS = ["", "plain text", "a < b, <b>c</b> and {", " white \n space ", "<", "\n"]


class Shouting:
    """Takes capital letters out, as calls; holds the last letter back, as parsers may."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> list[Content]:
        seen, self._held = (self._held + text)[:-1], (self._held + text)[-1:]
        return self._read(seen)

    def finish(self) -> list[Content]:
        return self._read(self._held)

    def _read(self, text: str) -> list[Content]:
        return [ToolCall(one, 0, one, "{}") if one.isupper() else one for one in text]


class Dashes:
    """Calls every dash."""

    def add(self, text: str) -> list[Content]:
        return [ToolCall("-", 0, "-", "{}") if one == "-" else one for one in text]

    def finish(self) -> list[Content]:
        return []


def read(parser: OutputParser, text: str, size: int) -> tuple[Content, ...]:
    found = [parser.add(text[at : at + size]) for at in range(0, len(text), size)]
    return joined(one for part in [*found, parser.finish()] for one in part)


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", TOOL_PARSERS)
def test_text_without_calls_stays_as_it_is(name: str, text: str, size: int) -> None:
    assert read(TOOL_PARSERS[name](JsonCalls(CallIds("c"))), text, size) == joined([text])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_each_parser_reads_what_the_one_before_it_leaves(size: int) -> None:
    """Their last words included; nothing is said twice, and all in order."""
    found = read(ParserChain([Shouting(), Dashes()]), "aB-c-D-E", size)

    names = [one if isinstance(one, str) else f"{one.name}()" for one in found]
    assert names == ["a", "B()", "-()", "c", "-()", "D()", "-()", "E()"]


def test_without_parsers_text_is_text() -> None:
    chain = ParserChain([])

    assert (chain.add("<tool_call>"), chain.finish()) == (["<tool_call>"], [])
