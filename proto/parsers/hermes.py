"""Finds tool calls in generated text, as Hermes and its kin write them.

    <tool_call>{"name": ..., "arguments": {...}}</tool_call>

Text that looks like a call and is none is given back as text.
"""

import re

from raylax.proto.parsers.base import CallMaker, Content

OPEN, CLOSE = "<tool_call>", "</tool_call>"
OUTSIDE = re.compile(r"[\s{}\[\]:,0-9+\-.a-zA-Z]*+")
"""What JSON has outside of strings: anything else, and this is no call."""
STRING = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)


class HermesToolParser:
    """An `OutputParser` of tool calls.

    A closing mark counts outside of strings alone. No character is read more than a few times: two
    opening marks can lead to long bodies both only if each is outside of strings where the other is
    inside, and then the second one ends at the next opening mark.
    """

    MARKS = (OPEN, CLOSE)

    def __init__(self, calls: CallMaker) -> None:
        self._calls = calls
        self._carry = ""  # the beginning of a mark, or of an escape
        self._body: list[str] | None = None  # of the call that is open
        self._in_string = False
        self._blank: list[str] | None = None  # white space after a call

    def add(self, text: str) -> list[Content]:
        found: list[Content] = []
        while text:
            read = self._read_text if self._body is None else self._read_body
            self._carry, text = "", self._carry + text
            text = read(text, found)
        return found

    def finish(self) -> list[Content]:
        """What was held back: a call that never closed, if it is one, or text."""
        found: list[Content] = []
        while self._body is not None:
            body = "".join(self._body)
            ends = "" if CLOSE.startswith(self._carry) else self._carry
            if call := self._calls.of(body + ends):
                self._body, self._carry, self._blank = None, "", []
                found.append(call)
            else:
                rest, self._carry = self._carry, ""
                found += self.add(self._give_up(rest, found))
        self._say(self._carry, found)
        self._carry = ""
        return found

    def _read_text(self, text: str, found: list[Content]) -> str:
        """Reads up to a call; what is to be read after that."""
        before, met, after = text.partition(OPEN)
        if not met:
            certain = len(text) - beginning_of(OPEN, text)
            self._carry = text[certain:]
            self._say(text[:certain], found)
            return ""
        if before:
            self._say(before, found)
        self._body, self._in_string = [], False
        return after

    def _read_body(self, text: str, found: list[Content]) -> str:
        """Reads a call; what is to be read after that."""
        assert self._body is not None
        at = 0
        while True:
            match = (STRING if self._in_string else OUTSIDE).match(text, at)
            assert match is not None
            at = match.end()
            if at == len(text):
                break
            if text[at] == '"':
                self._in_string, at = not self._in_string, at + 1
            elif self._in_string or CLOSE.startswith(text[at : at + len(CLOSE)]):
                break  # the beginning of an escape, or of a closing mark
            else:
                return self._give_up(text, found)
        if not self._in_string and text.startswith(CLOSE, at):
            self._body.append(text[:at])
            self._end_call(found)
            return text[at + len(CLOSE) :]
        self._body.append(text[:at])
        self._carry = text[at:]
        return ""

    def _end_call(self, found: list[Content]) -> None:
        assert self._body is not None
        body, self._body = "".join(self._body), None
        if call := self._calls.of(body):
            found.append(call)
            self._blank = []
        else:
            self._say(OPEN + body + CLOSE, found)

    def _give_up(self, rest: str, found: list[Content]) -> str:
        """It was no call: what stands after its mark is to be read as text, this being the end."""
        assert self._body is not None
        body, self._body = "".join(self._body), None
        self._say(OPEN, found)
        return body + rest

    def _say(self, text: str, found: list[Content]) -> None:
        """White space after a call belongs to the format, unless text follows."""
        if self._blank is not None:
            self._blank.append(text)
            if not text.strip():
                return
            text, self._blank = "".join(self._blank), None
        found.append(text)


def beginning_of(mark: str, text: str) -> int:
    """Length of the longest ending of `text` that begins `mark`."""
    return next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)
