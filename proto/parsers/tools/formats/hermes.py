"""Tool calls as Hermes and its kin write them, Qwen 2.5 and 3 among them.

<tool_call>
{"name": ..., "arguments": {...}}
</tool_call>
"""

from typing import ClassVar

from raylax.proto.parsers.source import Reading
from raylax.proto.parsers.tools.json_calls import json_call
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.scanning import ScanningParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"


class HermesToolParser(ScanningParser):
    """A closing mark that was forgotten is not missed."""

    MARKS = (OPEN, CLOSE)
    OPENS: ClassVar[tuple[str, ...]] = (OPEN,)
    FORMAT = CallFormat(
        before_name=f'{OPEN}\n{{"name": "',
        after_name='", "arguments": ',
        after_arguments=f"}}\n{CLOSE}",
        between="\n",
        special=MARKS,
    )

    def calls(self, mark: str) -> Reading[None]:
        yield from self.source.blank()
        yield from json_call(self)
        yield from self.close(CLOSE)
