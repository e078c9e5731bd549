"""Tool calls as Mistral's models write them. Older ones, a list:

    [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]

Those since Small 3.1 and Magistral, one after another:

    [TOOL_CALLS]look[ARGS]{...}[TOOL_CALLS]look[CALL_ID]abc123def[ARGS]{...}

Either is read of both, also without `[ARGS]`. Ids in them are not taken over.
"""

from typing import ClassVar

from raylax.proto.parsers.notation import object_pieces
from raylax.proto.parsers.source import Deviation, Reading
from raylax.proto.parsers.tools.json_calls import listed_calls
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.offered import LONGEST_NAME, NAME
from raylax.proto.parsers.tools.scanning import ScanningParser

OPEN, ID, ARGUMENTS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"


class MistralToolParser(ScanningParser):
    """Of models that write lists."""

    MARKS = (OPEN, ID, ARGUMENTS)
    OPENS: ClassVar[tuple[str, ...]] = (OPEN,)
    FORMAT = CallFormat(
        before_name='{"name": "',
        after_name='", "arguments": ',
        after_arguments="}",
        first=f"{OPEN}[",
        between=", ",
        last="]",
        special=(OPEN,),
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        yield from source.blank()
        if (yield from source.peek()) == "[":
            yield from listed_calls(self)
            return
        name = yield from source.word(NAME, LONGEST_NAME)
        if (yield from source.may(ID)):
            yield from source.word(NAME, LONGEST_NAME)
        yield from source.may(ARGUMENTS)
        yield from source.blank()
        if (yield from source.peek()) != "{":
            raise Deviation
        call = yield from self.begin(name)
        yield from self.tell(call, object_pieces(source))
        yield from self.end(call)


class NamedMistralToolParser(MistralToolParser):
    """Of models that write names."""

    FORMAT = CallFormat(
        before_name=OPEN, after_name=ARGUMENTS, after_arguments="", special=(OPEN, ARGUMENTS)
    )
