"""How several parsers read one text."""

import pytest

from raylax.proto.parsers.base import CallBegun, Content
from raylax.proto.parsers.chain import ParserChain
from tests.support.parsing import read


class Shouting:
    """Takes capital letters out, as calls; holds the last letter back, as parsers may."""

    done = thinking = False

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> list[Content]:
        seen, self._held = (self._held + text)[:-1], (self._held + text)[-1:]
        return self._read(seen)

    def finish(self) -> list[Content]:
        return self._read(self._held)

    def _read(self, text: str) -> list[Content]:
        return [CallBegun(0, one, one) if one.isupper() else one for one in text]


class Dashes:
    """Calls every dash."""

    done = thinking = False

    def add(self, text: str) -> list[Content]:
        return [CallBegun(0, "-", "-") if one == "-" else one for one in text]

    def finish(self) -> list[Content]:
        return []


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_each_parser_reads_what_the_one_before_it_leaves(size: int) -> None:
    """Their last words included; nothing is said twice, and all in order."""
    found = read(ParserChain([Shouting(), Dashes()]), "aB-c-D-E", size)

    names = [f"{one.name}()" if isinstance(one, CallBegun) else one for one in found]
    assert names == ["a", "B()", "-()", "c", "-()", "D()", "-()", "E()"]


def test_without_parsers_text_is_text() -> None:
    chain = ParserChain([])

    assert (chain.add("<tool_call>"), chain.finish()) == (["<tool_call>"], [])
