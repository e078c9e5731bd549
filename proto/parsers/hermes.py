"""Finds tool calls in generated text, as Hermes and its kin write them.

    <tool_call>{"name": ..., "arguments": {...}}</tool_call>

Text that looks like a call and is none is given back as text.
"""

import json

from raylax.proto.parsers.base import ParsedText, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"


class HermesToolParser:
    """An `OutputParser` of tool calls. Their ids are made of `call_id` and a number."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._held = ""
        self._inside = False
        self._count = 0

    def add(self, text: str) -> ParsedText:
        self._held += text
        found = ParsedText()
        while self._step(found):
            pass
        return found

    def finish(self) -> ParsedText:
        """What was held back: a call that never closed, if it is one, or text."""
        found = self.add("")
        if self._inside:
            call = self._parse(self._held)
            if call:
                found.calls.append(call)
            else:
                found.text += OPEN + self._held
        elif not self._between_calls(self._held):
            found.text += self._held
        self._held, self._inside = "", False
        return found

    def _between_calls(self, text: str) -> bool:
        """White space after a call belongs to the format, unless text follows."""
        return self._count > 0 and not text.strip()

    def _step(self, found: ParsedText) -> bool:
        mark = CLOSE if self._inside else OPEN
        before, met, after = self._held.partition(mark)
        if not met:
            if not self._inside:
                certain = len(self._held) - beginning_of(OPEN, self._held)
                if not self._between_calls(self._held[:certain]):
                    found.text += self._held[:certain]
                    self._held = self._held[certain:]
            return False
        if self._inside:
            call = self._parse(before)
            if call:
                found.calls.append(call)
            else:
                found.text += OPEN + before + CLOSE
        else:
            found.text += "" if self._between_calls(before) else before
        self._held, self._inside = after, not self._inside
        return True

    def _parse(self, body: str) -> ToolCall | None:
        try:
            value = json.loads(body)
            name, arguments = value["name"], value.get("arguments", {})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if not isinstance(name, str) or not isinstance(arguments, dict | str):
            return None
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        call = ToolCall(f"call_{self._call_id}_{self._count}", self._count, name, text)
        self._count += 1
        return call


def beginning_of(mark: str, text: str) -> int:
    """Length of the longest ending of `text` that begins `mark`."""
    return next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)
