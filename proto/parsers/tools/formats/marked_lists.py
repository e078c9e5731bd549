"""Tool calls as lists of JSON behind a mark.

<|tool_call|>[{"name": ..., "arguments": {...}}, ...]<|/tool_call|>        Phi 4 mini
functools[{"name": ..., "arguments": {...}}, ...]        the same, by other templates
<|tool_call|>[{"name": ..., "arguments": {...}}, ...]        Granite 3
<function_call> {"name": ..., "arguments": {...}}        Granite 20B
"""

from typing import ClassVar

from raylax.proto.parsers.source import Reading
from raylax.proto.parsers.tools.json_calls import json_call, listed_calls
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.scanning import ScanningParser

PHI_OPEN, PHI_CLOSE, FUNCTIONS = "<|tool_call|>", "<|/tool_call|>", "functools"
GRANITE_OPEN, OLD_OPEN, OLD_CLOSE = "<|tool_call|>", "<tool_call>", "</tool_call>"
CODE_OPEN = "<function_call>"


class PhiToolParser(ScanningParser):
    """Of Phi 4."""

    MARKS = (PHI_OPEN, PHI_CLOSE)
    OPENS: ClassVar[tuple[str, ...]] = (PHI_OPEN, FUNCTIONS)
    FORMAT = CallFormat(
        before_name='{"name": "',
        after_name='", "arguments": ',
        after_arguments="}",
        first=f"{PHI_OPEN}[",
        between=", ",
        last=f"]{PHI_CLOSE}",
        special=MARKS,
    )

    def calls(self, mark: str) -> Reading[None]:
        if mark == PHI_OPEN:
            yield from self.source.blank()
        yield from listed_calls(self)
        if mark == PHI_OPEN:
            yield from self.close(PHI_CLOSE)


class GraniteToolParser(ScanningParser):
    """Of Granite up to 3.3."""

    MARKS = (GRANITE_OPEN, OLD_OPEN, OLD_CLOSE, CODE_OPEN)
    OPENS: ClassVar[tuple[str, ...]] = (GRANITE_OPEN, OLD_OPEN, CODE_OPEN)
    FORMAT = CallFormat(
        before_name='{"name": "',
        after_name='", "arguments": ',
        after_arguments="}",
        first=f"{GRANITE_OPEN}[",
        between=", ",
        last="]",
        special=(GRANITE_OPEN,),
    )

    def calls(self, mark: str) -> Reading[None]:
        yield from self.source.blank()
        if (yield from self.source.peek()) == "[":
            yield from listed_calls(self)
        else:
            yield from json_call(self)
        if mark == OLD_OPEN:
            yield from self.close(OLD_CLOSE)
