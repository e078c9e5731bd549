"""What a choice says, before any API writes it down: chunks, events and replies are made of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from raylax.proto.parsers.base import CallPiece, Content, Thought, joined

ENTRY_BYTES = 64
"""A token with its log-probability in JSON, about."""
ID_BYTES = 7


@dataclass(frozen=True, slots=True)
class TextLogprob:
    """A token with its log-probability, and the most likely tokens at its place. Tokens are bytes,
    since one may be a part of a character.
    """

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()
    follows_nothing: bool = False
    """It is the first token of a prompt, and has no log-probability."""

    @property
    def text(self) -> str:
        return readable(self.token)

    @property
    def size(self) -> int:
        """About how many bytes it has in an answer."""
        return ENTRY_BYTES * (1 + len(self.top))


def readable(token: bytes) -> str:
    """The token as text, in which a part of a character is U+FFFD."""
    return token.decode("utf-8", "replace")


class TextEvent(NamedTuple):
    """Something new of one choice. The last event of a choice has `finish_reason`."""

    choice: int
    text: str = ""
    """All of its text."""
    contents: tuple[Content, ...] = ()
    """Text and news of calls in their order, where there is more than text."""
    logprobs: tuple[TextLogprob, ...] = ()
    finish_reason: str | None = None
    token_ids: tuple[int, ...] = ()
    """Those that were said since the event before, where somebody wants to know them."""

    @classmethod
    def of(
        cls,
        choice: int,
        found: Iterable[Content],
        logprobs: tuple[TextLogprob, ...] = (),
        finish_reason: str | None = None,
    ) -> "TextEvent":
        """The event that says what was found."""
        contents = joined(found)
        text = "".join(one for one in contents if isinstance(one, str))
        has_more = contents not in ((), (text,))
        return cls(choice, text, contents if has_more else (), logprobs, finish_reason)

    @property
    def in_order(self) -> tuple[Content, ...]:
        """All that it says, none of the texts empty."""
        return self.contents or ((self.text,) if self.text else ())

    @property
    def size(self) -> int:
        """About how many bytes it has in an answer."""
        if self.only_text:
            return len(self.text)
        pieces = [one.arguments for one in self.contents if isinstance(one, CallPiece)]
        thoughts = [one.text for one in self.contents if isinstance(one, Thought)]
        texts = sum(map(len, (self.text, *pieces, *thoughts)))
        ids = ID_BYTES * len(self.token_ids)
        return texts + ids + sum([entry.size for entry in self.logprobs])

    @property
    def thought(self) -> str:
        """All that it says of what is thought."""
        return "".join([one.text for one in self.contents if isinstance(one, Thought)])

    @property
    def only_text(self) -> bool:
        """Whether it says nothing but text, as most events do."""
        return not (self.contents or self.logprobs or self.finish_reason or self.token_ids)
