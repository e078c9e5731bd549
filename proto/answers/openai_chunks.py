"""What answers of OpenAI's older APIs have in common: chunks that all look alike, until [DONE].

Programs in the same process get the chunks as objects.
"""

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from raylax.proto.answers.writer import AnswerEvent
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.proto.openai import chat, completions, embeddings, scores
from raylax.proto.openai.shared import PromptTokensDetails, SamplingFields, Usage

Chunk = chat.ChatCompletionChunk | completions.Completion | embeddings.EmbeddingList
Response = (
    chat.ChatCompletion
    | completions.Completion
    | embeddings.EmbeddingList
    | scores.ScoreList
    | scores.Ranking
    | scores.ClassifiedList
)
DONE: AnswerEvent = ("", b"[DONE]")
HERE = "\0"
"""Stands for the text in a chunk that is written once; no name and no id is just this."""


class ChunkWriter(ABC):
    """An AnswerWriter whose API has chunks.

    Most events are nothing but text, and then a choice's chunks differ by that alone: what stands
    around it is written once, not for each token.
    """

    def __init__(self, call: Call, counts_on: bool = False) -> None:
        """`counts_on`: each chunk has the usage so far, as it is when the chunk is written."""
        self.call, self._counts_on = call, counts_on
        self._around: dict[int, list[bytes]] = {}  # by choice: a chunk before and after its text

    @abstractmethod
    def chunks(self, event: TextEvent) -> Sequence[Chunk]:
        """The event as objects."""

    @abstractmethod
    def last_chunks(self) -> Sequence[Chunk]:
        """What comes after the last event: usage, if the client asked for it."""

    @abstractmethod
    def response(self) -> Response:
        """The whole answer as an object; raises the error that ended the call."""

    def begin(self) -> Sequence[AnswerEvent]:
        return ()

    def add(self, event: TextEvent) -> Sequence[AnswerEvent]:
        if self._counts_on:
            return written_out(self.chunks(event))
        around = self._around.get(event.choice)
        if around is not None and event.only_text:
            return (("", to_json(event.text).join(around)),)
        written = written_out(self.chunks(event))
        if around is None:  # a choice's first chunk may have more, a role for instance
            ((_, plain),) = written_out(self.chunks(TextEvent(event.choice, HERE)))
            self._around[event.choice] = plain.split(to_json(HERE))
        return written

    def ping(self) -> Sequence[AnswerEvent]:
        return ()

    def end(self) -> Sequence[AnswerEvent]:
        return (*written_out(self.last_chunks()), DONE)

    def failed(self, error: RaylaxError) -> Sequence[AnswerEvent]:
        return ("", json.dumps(error.body()).encode()), DONE

    def whole(self) -> bytes:
        return self.response().model_dump_json().encode()


def engine_chunk(
    body: SamplingFields, model: str, created: int, numbers: dict[str, Any]
) -> chat.ChatCompletionChunk | completions.Completion:
    """The answer to who asks what an engine has done: `numbers`, in the usage at the end of a
    stream without text."""
    usage = Usage(
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=0,
        prompt_tokens_details=PromptTokensDetails(),
        extra=numbers,
    )
    if isinstance(body, completions.CompletionRequest):
        return completions.Completion(
            id=f"cmpl-{uuid.uuid4().hex}", created=created, model=model, choices=[], usage=usage
        )
    return chat.CountedChunk(
        id=f"chatcmpl-{uuid.uuid4().hex}", created=created, model=model, choices=[], usage=usage
    )


def filled(written: bytes, name: bytes, values: Iterable[bytes]) -> bytes:
    """The JSON with these values, each written by itself, in its first list of this name, which is
    empty there. A writer in C lets no other thread run until it is done, so it is given one value
    after another; in a string such a list would stand with other quotes."""
    before, empty, after = written.partition(b'"%b":[]' % name)
    assert empty, f"no empty list {name!r}"
    return b'%b"%b":[%b]%b' % (before, name, b",".join(values), after)


def ended(chunk: Chunk) -> list[AnswerEvent]:
    """The events of a stream that has only this."""
    return [*written_out([chunk]), DONE]


def written_out(chunks: Sequence[Chunk]) -> list[AnswerEvent]:
    return [("", chunk.model_dump_json().encode()) for chunk in chunks]
