"""What a choice says, before any API writes it down: chunks, events and replies are made of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from raylax.proto.parsers.base import ToolCall


@dataclass(frozen=True, slots=True)
class TextLogprob:
    """A token with its log-probability, and the most likely tokens at its place. Tokens are bytes,
    since one may be a part of a character.
    """

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()

    @property
    def text(self) -> str:
        return readable(self.token)


def readable(token: bytes) -> str:
    """The token as text, in which a part of a character is U+FFFD."""
    return token.decode("utf-8", "replace")


class TextEvent(NamedTuple):
    """Something new of one choice. The last event of a choice has `finish_reason`."""

    choice: int
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TextLogprob, ...] = ()
    finish_reason: str | None = None

    @property
    def only_text(self) -> bool:
        """Whether it says nothing but text, as most events do."""
        return not (self.tool_calls or self.logprobs or self.finish_reason)


def gathered(events: Iterable[TextEvent]) -> Iterator[TextEvent]:
    """The same, said in fewer events: what is nothing but text goes with what follows it."""
    texts: list[str] = []
    for event in events:
        texts.append(event.text)
        if not event.only_text:
            yield event._replace(text="".join(texts))
            texts.clear()
