"""Tool calls as GLM writes them. 4.5 and 4.6:

    <tool_call>look
    <arg_key>city</arg_key>
    <arg_value>Rome</arg_value>
    </tool_call>

GLM 4 (0414), at the beginning of an answer, nothing but the name, and JSON in the next line:

    look
    {...}
"""

from typing import ClassVar

from raylax.proto.parsers.notation import object_pieces
from raylax.proto.parsers.source import Deviation, Reading
from raylax.proto.parsers.tools.kind import CallFormat, PairFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME
from raylax.proto.parsers.tools.pairs import PairMarks, pair_pieces
from raylax.proto.parsers.tools.scanning import ScanningParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"
KEY, END_KEY, VALUE, END_VALUE = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
PAIRS = PairMarks(KEY, END_KEY, VALUE, END_VALUE, CLOSE, own_lines=False)


class Glm45ToolParser(ScanningParser):
    """Types of arguments are those of the function's schema."""

    MARKS = (OPEN, CLOSE, KEY, END_KEY, VALUE, END_VALUE)
    OPENS: ClassVar[tuple[str, ...]] = (OPEN,)
    FORMAT = CallFormat(
        before_name=OPEN,
        after_name="\n",
        after_arguments=CLOSE,
        between="\n",
        arguments="pairs",
        pairs=PairFormat(KEY, f"{END_KEY}\n{VALUE}", f"{END_VALUE}\n"),
        special=MARKS,
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        yield from source.blank()
        name = yield from source.word(NAME, LONGEST_NAME)
        yield from source.blank()
        if name not in self.tools or (yield from source.peek()) != "<":
            raise Deviation
        call = yield from self.begin(name)
        yield from self.tell(call, pair_pieces(source, PAIRS, self.tools.schema(name)))
        yield from self.end(call)


class Glm4ToolParser(ScanningParser):
    """A call is the beginning of an answer; others may follow, each on lines of its own."""

    MARKS = ()
    OPENS: ClassVar[tuple[str, ...]] = ()
    UNMARKED = True
    FORMAT = CallFormat(before_name="", after_name="\n", after_arguments="", between="\n")

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        while True:
            yield from source.blank()
            name = yield from source.word(NAME, LONGEST_NAME)
            if name not in self.tools:
                raise Deviation
            yield from source.must("\n")
            if (yield from source.peek()) != "{":
                raise Deviation
            call = yield from self.begin(name)
            yield from self.tell(call, object_pieces(source))
            yield from self.end(call)
