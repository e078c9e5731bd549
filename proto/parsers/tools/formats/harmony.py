"""What gpt-oss writes: messages, each in a channel (cookbook.openai.com/articles/openai-harmony).

    <|start|>assistant<|channel|>analysis<|message|>...<|end|>
    <|start|>assistant<|channel|>commentary to=functions.look <|constrain|>json<|message|>{...}
    <|start|>assistant<|channel|>final<|message|>...<|return|>

The analysis is what it thinks; a call ends with `<|call|>`. There are no line breaks between, and
the beginning of the first message is the end of the prompt.
"""

import re
from typing import ClassVar

from raylax.proto.parsers.base import Thought
from raylax.proto.parsers.notation import object_pieces
from raylax.proto.parsers.source import Deviation, Reading
from raylax.proto.parsers.tools.kind import CallFormat
from raylax.proto.parsers.tools.scanning import ScanningParser

START, CHANNEL, CONSTRAIN, MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
ROLE, HEADER = re.compile(r"[^<]*"), re.compile(r"[^<]+")
RECIPIENT = re.compile(r"to=(?:functions\.)?(\S+)")
LONGEST_HEADER = 512
THOUGHT = "analysis"


class HarmonyParser(ScanningParser):
    """An `OutputParser` of calls and thoughts. A message to anybody but an offered function is
    text, with its header."""

    MARKS = (START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN)
    OPENS: ClassVar[tuple[str, ...]] = (START, CHANNEL)
    FORMAT = CallFormat(
        before_name=f"{CHANNEL}commentary to=functions.",
        after_name=f" {CONSTRAIN}json{MESSAGE}",
        after_arguments=CALL,
        between=f"{START}assistant",
        before_text=f"{CHANNEL}final{MESSAGE}",
        special=(START, CHANNEL, CONSTRAIN, MESSAGE, CALL),
    )

    def calls(self, mark: str) -> Reading[None]:
        source = self.source
        header = yield from self._header(mark)
        recipient = RECIPIENT.search(header)
        if recipient is None:
            source.forget()
            yield from self._message(is_thought=THOUGHT in header)
            return
        if recipient[1] not in self.tools:
            raise Deviation
        yield from source.blank()
        if (yield from source.peek()) != "{":
            raise Deviation
        call = yield from self.begin(recipient[1])
        yield from self.tell(call, object_pieces(source))
        yield from self.end(call)
        yield from self.close(CALL)

    def _header(self, mark: str) -> Reading[str]:
        """What stands between a message's first mark and its text. Raises Deviation."""
        source, parts = self.source, [mark]
        while not (yield from source.may(MESSAGE)):
            for inner in (CHANNEL, CONSTRAIN):
                if (yield from source.may(inner)):
                    parts.append(" ")
                    break
            else:
                parts.append((yield from source.word(HEADER, LONGEST_HEADER)))
            if sum(map(len, parts)) > LONGEST_HEADER:
                raise Deviation
        return "".join(parts)

    def _message(self, is_thought: bool) -> Reading[None]:
        """The text of a message, up to its end."""
        self.thinking = is_thought
        text = self.source.up_to((END, CALL, RETURN))
        for piece in text:
            if piece is None:
                yield None
            elif not is_thought:
                yield from self.say(piece)
            elif piece:
                yield Thought(piece)
        self.thinking = False
