"""Tool calls that are an answer's JSON, as models write them that were only asked to.

{"name": ..., "arguments": {...}}        or a list of such, fenced as a block of code or not
"""

from typing import ClassVar

from raylax.proto.parsers.source import Reading
from raylax.proto.parsers.tools.json_calls import json_call, listed_calls
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.scanning import ScanningParser

FENCE = "```"


class JsonToolParser(ScanningParser):
    """An answer begins with its calls, or has none."""

    MARKS = ()
    OPENS: ClassVar[tuple[str, ...]] = ()
    UNMARKED = True
    FORMAT = CallFormat(
        before_name='{"name": "',
        after_name='", "arguments": ',
        after_arguments="}",
        first="[",
        between=", ",
        last="]",
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        yield from source.blank()
        fenced = yield from source.may(FENCE)
        if fenced:
            yield from source.may("json")
            yield from source.blank()
        if (yield from source.peek()) == "[":
            yield from listed_calls(self)
        else:
            yield from json_call(self)
        if fenced:
            yield from self.close(FENCE)
