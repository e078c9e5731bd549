"""Streams whose events name their type: OpenAI's Responses and Anthropic's Messages."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError


class TypedEvent(NamedTuple):
    type: str
    json: bytes


class TypedShape(Protocol):
    """How such an API writes one call. Its events are those of the stream from the first on."""

    def begin(self) -> list[TypedEvent]:
        """Before the first event; that one has been heard already."""
        ...

    def ping(self) -> list[TypedEvent]:
        """While there is nothing to say; empty where the API has nothing for that."""
        ...

    def add(self, event: TextEvent) -> list[TypedEvent]: ...

    def end(self) -> list[TypedEvent]:
        """After the last event, which has a `finish_reason`."""
        ...

    def failed(self, error: RaylaxError) -> list[TypedEvent]:
        """Instead of the end."""
        ...

    def whole(self) -> BaseModel:
        """The answer without a stream, once the call is done."""
        ...


def gathered(events: Iterable[TextEvent]) -> Iterator[TextEvent]:
    """The same, said in fewer events: what is nothing but text goes with what follows it."""
    texts: list[str] = []
    for event in events:
        texts.append(event.text)
        if not event.only_text:
            yield event._replace(text="".join(texts))
            texts.clear()
