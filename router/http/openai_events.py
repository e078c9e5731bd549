"""Streams of chunks that all look alike, until [DONE]: OpenAI's chat and completions."""

import json
from collections.abc import Sequence

from pydantic_core import to_json

from raylax.proto.calls.call import Call, Chunk
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.router.http.keepalive import COMMENT

DONE = b"data: [DONE]\n\n"
HERE = "\0"
"""Stands for the text; no name and no id is just this."""


def data(chunks: Sequence[Chunk]) -> bytes:
    return b"".join(f"data: {chunk.model_dump_json()}\n\n".encode() for chunk in chunks)


class ChunkLines:
    """Most events are nothing but text, and then a choice's lines differ by that alone: what stands
    around it is written once, not for each token.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self._around: dict[int, list[bytes]] = {}

    def whole(self) -> bytes:
        return self.call.response().model_dump_json().encode()

    def begin(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return COMMENT

    def of(self, event: TextEvent) -> bytes:
        around = self._around.get(event.choice)
        if around is not None and event.only_text:
            return to_json(event.text).join(around)
        written = data(self.call.chunks(event))
        if around is None:  # a choice's first chunk may have more, a role for instance
            text = data(self.call.chunks(TextEvent(event.choice, HERE)))
            self._around[event.choice] = text.split(to_json(HERE))
        return written

    def end(self) -> bytes:
        return data(self.call.last_chunks()) + DONE

    def failure(self, error: RaylaxError) -> bytes:
        return f"data: {json.dumps(error.body())}\n\n".encode() + DONE
