"""Tool calls as Llama 4 writes them, and Llama 3.2's small ones: a list of Python's calls.

    [look(city="Rome"), look(city="Oslo", days=[1, 2])]

It may stand between `<|python_start|>` and `<|python_end|>`.
"""

from typing import ClassVar

from raylax.proto.parsers.notation import DEEPEST, PYTHON, ended, quoted, value_pieces
from raylax.proto.parsers.source import Pieces, Reading, Source
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME
from raylax.proto.parsers.tools.scanning import ScanningParser

OPEN, CLOSE = "<|python_start|>", "<|python_end|>"


class Llama4ToolParser(ScanningParser):
    """Without its marks a list of calls is one only at the beginning of an answer. Arguments are
    values as JSON has them, too, but no tuples and no sets."""

    MARKS = (OPEN, CLOSE)
    OPENS: ClassVar[tuple[str, ...]] = (OPEN,)
    UNMARKED = True
    FORMAT = CallFormat(
        before_name="",
        after_name="(",
        after_arguments=")",
        first="[",
        between=", ",
        last="]",
        arguments="python",
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        yield from source.blank()
        yield from source.must("[")
        yield from source.blank()
        yield from self._call()
        while not (yield from source.may_after_blank("]")):
            yield from source.blank()
            yield from source.must(",")
            yield from source.blank()
            yield from self._call()
        yield from self.close(CLOSE)

    def _call(self) -> Reading[None]:
        source = self.source
        name = yield from source.word(NAME, LONGEST_NAME)
        yield from source.blank()
        yield from source.must("(")
        call = yield from self.begin(name)
        yield from self.tell(call, keyword_pieces(source))
        yield from self.end(call)


def keyword_pieces(source: Source) -> Pieces:
    """Keyword arguments up to their bracket, as an object without its last brace."""
    yield "{"
    between = ""
    while not (yield from ended(source, ")", PYTHON, between)):
        key = yield from source.word(NAME, LONGEST_NAME)
        yield f'{between}"{quoted(key)}": '
        yield from source.blank()
        yield from source.must("=")
        yield from source.blank()
        yield from value_pieces(source, PYTHON, DEEPEST - 1)
        between = ", "
