"""Tool calls as Llama 3.1 to 3.3 write them: JSON, mostly with nothing around it.

    {"name": ..., "parameters": {...}}        several with a semicolon between, or a line break

Before it may stand `<|python_tag|>`. Calls of Llama's own tools, which are Python, are text.
"""

from typing import ClassVar

from raylax.proto.parsers.source import Reading
from raylax.proto.parsers.tools.json_calls import json_call
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.scanning import ScanningParser

TAG = "<|python_tag|>"


class Llama3ToolParser(ScanningParser):
    """Without the tag a call is one only at the beginning of an answer."""

    MARKS = (TAG,)
    OPENS: ClassVar[tuple[str, ...]] = (TAG,)
    UNMARKED = True
    FORMAT = CallFormat(
        before_name='{"name": "',
        after_name='", "parameters": ',
        after_arguments="}",
        between="; ",
    )

    def calls(self, mark: str) -> Reading[None]:
        while True:
            yield from self.source.blank()
            yield from json_call(self)
            yield from self.source.may_after_blank(";")
