"""Tool calls as Qwen3-Coder writes them.

    <tool_call>
    <function=look>
    <parameter=city>
    Rome
    </parameter>
    </function>
    </tool_call>

The outer tags are often forgotten.
"""

from typing import ClassVar

from raylax.proto.parsers.source import Deviation, Reading
from raylax.proto.parsers.tools.kind import CallFormat, PairFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME
from raylax.proto.parsers.tools.pairs import PairMarks, pair_pieces
from raylax.proto.parsers.tools.scanning import ScanningParser

OPEN, CLOSE, FUNCTION = "<tool_call>", "</tool_call>", "<function="
PAIRS = PairMarks("<parameter=", ">", "", "</parameter>", "</function>", own_lines=True)


class Qwen3CoderToolParser(ScanningParser):
    """Types of arguments are those of the function's schema."""

    MARKS = (OPEN, CLOSE)
    OPENS: ClassVar[tuple[str, ...]] = (OPEN, FUNCTION)
    FORMAT = CallFormat(
        before_name=f"{OPEN}\n{FUNCTION}",
        after_name=">\n",
        after_arguments=f"</function>\n{CLOSE}",
        between="\n",
        arguments="pairs",
        pairs=PairFormat("<parameter=", ">\n", "\n</parameter>\n"),
        special=MARKS,
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        if mark == OPEN:
            yield from source.blank()
            yield from source.must(FUNCTION)
        while True:
            name = yield from source.word(NAME, LONGEST_NAME)
            yield from source.must(">")
            if name not in self.tools:
                raise Deviation
            call = yield from self.begin(name)
            yield from self.tell(call, pair_pieces(source, PAIRS, self.tools.schema(name)))
            yield from self.end(call)
            if not (yield from source.may_after_blank(FUNCTION)):
                break
        yield from self.close(CLOSE)
