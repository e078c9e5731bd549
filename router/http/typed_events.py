"""Streams whose events are named: OpenAI's Responses and Anthropic's Messages."""

from collections.abc import Sequence

from raylax.proto.answers.typed_events import TypedEvent, TypedShape
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.router.http.keepalive import COMMENT


def named(events: Sequence[TypedEvent]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e.type.encode(), e.json) for e in events)


class TypedLines:
    def __init__(self, call: Call, shape: TypedShape) -> None:
        self.call, self._shape = call, shape

    def whole(self) -> bytes:
        return self._shape.whole().model_dump_json().encode()

    def begin(self) -> bytes:
        return named(self._shape.begin())

    def ping(self) -> bytes:
        return named(self._shape.ping()) or COMMENT

    def of(self, event: TextEvent) -> bytes:
        return named(self._shape.add(event))

    def end(self) -> bytes:
        return named(self._shape.end())

    def failure(self, error: RaylaxError) -> bytes:
        return named(self._shape.failed(error))
