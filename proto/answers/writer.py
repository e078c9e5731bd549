"""The contract of everything that writes answers: how an API writes one call.

A writer gives JSON. The bytes around it, those of server-sent events, are HTTP's affair.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError

AnswerEvent: TypeAlias = tuple[str, bytes]
"""One event of a streamed answer: its type, which is empty in an API whose events have none, and
its JSON. A plain tuple, since one is made for each token."""


class AnswerWriter(Protocol):
    """Writes one call in the form of an API: event by event, or in one piece.

    For a stream: `begin` once, `add` for each event of the call in order, then `end` or `failed`.
    Without a stream: `whole` alone.
    """

    @property
    def call(self) -> Call:
        """The call that is written. Whoever runs it feeds it; a writer only reads it."""
        ...

    def begin(self) -> Sequence[AnswerEvent]:
        """Comes before the first event, but is asked for when that is there: then it is known how
        much of the prompt was cached."""
        ...

    def add(self, event: TextEvent) -> Sequence[AnswerEvent]:
        """What is new by this event. Called for every token."""
        ...

    def ping(self) -> Sequence[AnswerEvent]:
        """A sign of life while there is nothing to say; empty where the API has none."""
        ...

    def end(self) -> Sequence[AnswerEvent]:
        """Comes after the last event of the call, when all its parts have a `finish_reason`."""
        ...

    def failed(self, error: RaylaxError) -> Sequence[AnswerEvent]:
        """Comes instead of the end."""
        ...

    def whole(self) -> bytes:
        """The answer without a stream, once the call is done. Raises the error that ended it."""
        ...
