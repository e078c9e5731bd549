"""Tool calls as DeepSeek's V3 and R1 write them; each mark is a special token.

    ⟨calls begin⟩⟨call begin⟩function⟨sep⟩look
    ```json
    {...}
    ```⟨call end⟩⟨calls end⟩

V3.1 writes less: ⟨calls begin⟩⟨call begin⟩look⟨sep⟩{...}⟨call end⟩⟨calls end⟩. Both are read of
either.
"""

from typing import ClassVar

from raylax.proto.parsers.notation import object_pieces
from raylax.proto.parsers.source import Deviation, Reading
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME
from raylax.proto.parsers.tools.scanning import ScanningParser

FIRST, LAST = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
OPEN, BETWEEN, CLOSE = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
FENCE = "```"


class DeepSeekToolParser(ScanningParser):
    """Of V3 and R1."""

    MARKS = (FIRST, OPEN, BETWEEN, CLOSE, LAST)
    OPENS: ClassVar[tuple[str, ...]] = (FIRST, OPEN)
    FORMAT = CallFormat(
        before_name=f"{OPEN}function{BETWEEN}",
        after_name=f"\n{FENCE}json\n",
        after_arguments=f"\n{FENCE}{CLOSE}",
        first=FIRST,
        between="\n",
        last=LAST,
        special=MARKS,
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        if mark == FIRST:
            yield from source.blank()
            yield from source.must(OPEN)
        while True:
            yield from self._call()
            yield from self.close(CLOSE)
            if not (yield from source.may_after_blank(OPEN)):
                break
        yield from self.close(LAST)

    def _call(self) -> Reading[None]:
        source = self.source
        name = yield from source.word(NAME, LONGEST_NAME)
        yield from source.must(BETWEEN)
        yield from source.blank()
        fenced = (yield from source.peek()) != "{"
        if fenced:
            name = yield from source.word(NAME, LONGEST_NAME)
            yield from source.blank()
            yield from source.must(f"{FENCE}json")
            yield from source.blank()
            if (yield from source.peek()) != "{":
                raise Deviation
        call = yield from self.begin(name)
        yield from self.tell(call, object_pieces(source))
        yield from self.end(call)
        if fenced:
            yield from self.close(FENCE)


class PlainDeepSeekToolParser(DeepSeekToolParser):
    """Of V3.1."""

    FORMAT = CallFormat(
        before_name=OPEN,
        after_name=BETWEEN,
        after_arguments=CLOSE,
        first=FIRST,
        last=LAST,
        special=DeepSeekToolParser.MARKS,
    )
