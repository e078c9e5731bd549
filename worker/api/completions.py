"""`engine.chat.completions.create`, `engine.completions.create` and `engine.embeddings.create`,
synchronous and not.

All of them are thin: a call is prepared, its requests are submitted, deltas are fed to it until it
is done. Whoever stops listening early has its requests aborted.
"""

import asyncio
import queue
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from raylax.proto.answers.embedding import EmbeddingWriter
from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_chunks import Chunk, ChunkWriter, Response, engine_chunk
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.calls.call import Call
from raylax.proto.calls.timing import Timing
from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.frontend import Frontend
from raylax.proto.openai.body import Body, validated
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.field_rules import unknown
from raylax.proto.vocabulary import CallOrigin, Delta
from raylax.worker.api.engine_state import Deliver, EngineState
from raylax.worker.api.generation import asked_of
from raylax.worker.api.spelled_out import spelled_out
from raylax.worker.engine.threaded_engine import ThreadedEngine

LONGEST_ID = 128
Messages = list[dict[str, Any]]
TextRequest = ChatCompletionRequest | CompletionRequest
Parts = tuple[ThreadedEngine, EngineState, Frontend, bool]
"""What `CompletionsBase` is made of."""
BEGUN = None
"""What a stream's generator says first, to itself: from then on it can be closed, and so whoever
drops a stream, even one never read, ends its call."""


@dataclass
class CompletionsBase:
    """What every form of `create` needs: a call is begun, fed its deltas, and ended."""

    engine: ThreadedEngine
    state: EngineState
    frontend: Frontend
    echoes: bool = False
    """Whether the engine says each prompt again."""

    def chat_writer(self, body: ChatCompletionRequest, origin: CallOrigin) -> ChatWriter:
        """A chat's call, and what writes its answer. Raises InvalidRequest."""
        call = self.timed(self.frontend.chat(body, origin=origin), body)
        return ChatWriter(
            call, self.frontend.name, int(time.time()), body.include_usage, body.counts_on
        )

    def completion_writer(self, body: CompletionRequest, origin: CallOrigin) -> CompletionWriter:
        """A completion's call, and what writes its answer. Raises InvalidRequest."""
        call = self.timed(self.frontend.completion(body, origin), body)
        return CompletionWriter(
            call, self.frontend.name, int(time.time()), body.include_usage, body.counts_on
        )

    def timed(self, call: Call, body: TextRequest) -> Call:
        """A call whose usage says how long it took; of an engine that echoes, how it was asked."""
        call.timing = Timing()
        if self.echoes:
            call.asked = asked_of(body, call.requests[0])
        return call

    def writer(self, body: TextRequest, request_id: str | None) -> ChunkWriter:
        """The call of a body, and what writes its answer. Raises InvalidRequest."""
        origin = origin_of(request_id)
        if isinstance(body, ChatCompletionRequest):
            return self.chat_writer(body, origin)
        return self.completion_writer(body, origin)

    def engine_chunk(self, body: TextRequest) -> Chunk:
        """What the engine has done, for who has asked for it."""
        self.engine.process.check()
        numbers = self.engine.metrics()
        return engine_chunk(body, self.frontend.name, int(time.time()), numbers)

    def embedding_writer(self, fields: dict[str, Any]) -> EmbeddingWriter:
        """The call of embeddings, and what writes its answer. Raises InvalidRequest."""
        body = parse_arguments(EmbeddingRequest, fields)
        call = self.frontend.embedding(body)
        return EmbeddingWriter(call, self.frontend.name, body.encoding_format)

    def begin(
        self, call: Call, deliver: Deliver, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """Submit the call's requests; their deltas go to `deliver`, on this loop. Raises
        RaylaxError, and EngineNotReady in a forked child."""
        self.engine.process.check()
        self.state.listen(call, deliver, loop)
        try:
            for request in call.requests:
                self.engine.add_request(request)
        except BaseException:
            self.end(call)
            raise

    def feed(self, writer: ChunkWriter, delta: Delta) -> list[Chunk]:
        """Chunks that a delta of the call comes to; a stop string ends its request."""
        result = writer.call.feed(delta)
        if result.cancel:
            self.engine.abort_request(delta.request_id)
        return list(map(spelled_out, writer.chunks(result.event))) if result.event else []

    def end(self, call: Call) -> None:
        """Listen no more, and abort what still runs. What a forked child drops is the parent's."""
        if not self.engine.process.here:
            return
        self.state.leave(call)
        for request_id in call.open:
            self.engine.abort_request(request_id)

    def answer(self, body: TextRequest, request_id: str | None) -> Any:
        """A whole answer, or a stream of chunks, as the body says."""
        if body.asks_for_metrics:
            return iter([self.engine_chunk(body)])
        writer = self.writer(body, request_id)
        return self.stream(writer) if body.stream else self.whole(writer)

    async def answer_async(self, body: TextRequest, request_id: str | None) -> Any:
        """As `answer`, for an event loop."""
        if body.asks_for_metrics:
            return alone(self.engine_chunk(body))
        writer = self.writer(body, request_id)
        return await (self.stream_async(writer) if body.stream else self.whole_async(writer))

    def stream(self, writer: ChunkWriter) -> Iterator[Chunk]:
        """The chunks of a call, which is submitted at once, not when the first one is asked for."""
        inbox: queue.SimpleQueue[Delta] = queue.SimpleQueue()
        self.begin(writer.call, inbox.put)
        chunks = self._chunks(writer, inbox)
        next(chunks)
        return chunks

    def _chunks(
        self, writer: ChunkWriter, inbox: "queue.SimpleQueue[Delta]"
    ) -> Generator[Any, None, None]:
        try:
            yield BEGUN
            while not writer.call.done:
                self.engine.process.check()
                yield from self.feed(writer, inbox.get())
            yield from writer.last_chunks()
        finally:
            self.end(writer.call)

    def whole(self, writer: ChunkWriter) -> Response:
        """The whole answer, once it has come."""
        for _ in self.stream(writer):
            pass
        return writer.response()

    async def stream_async(self, writer: ChunkWriter) -> AsyncGenerator[Chunk, None]:
        """As `stream`, on the event loop that asks."""
        loop, inbox = asyncio.get_running_loop(), asyncio.Queue[Delta]()
        self.begin(writer.call, inbox.put_nowait, loop)
        chunks = self._chunks_async(writer, inbox)
        await anext(chunks)
        return chunks

    async def _chunks_async(
        self, writer: ChunkWriter, inbox: "asyncio.Queue[Delta]"
    ) -> AsyncGenerator[Any, None]:
        try:
            yield BEGUN
            while not writer.call.done:
                self.engine.process.check()
                for chunk in self.feed(writer, await inbox.get()):
                    yield chunk
            for chunk in writer.last_chunks():
                yield chunk
        finally:
            self.end(writer.call)

    async def whole_async(self, writer: ChunkWriter) -> Response:
        """As `whole`, for an event loop, which does other things while a long answer is made."""
        async with aclosing(await self.stream_async(writer)) as chunks:
            async for _ in chunks:
                pass
        return await asyncio.to_thread(writer.response)


async def alone(chunk: Chunk) -> AsyncGenerator[Chunk, None]:
    """A stream of one chunk."""
    yield chunk


def parse_arguments(kind: type[Body], fields: dict[str, Any]) -> Body:
    """Keyword arguments as a request; `extra_body` has more of them, as with OpenAI's client.
    InvalidRequest names the field at fault."""
    more = fields.pop("extra_body", None)
    more = {} if more is None else more
    if not isinstance(more, dict):
        raise InvalidRequest(
            f"extra_body: must be an object, found {shown(more)}", param="extra_body"
        )
    if twice := next((name for name in more if fields.get(name) is not None), None):
        raise InvalidRequest(f"{twice}: given twice, also in extra_body", param=twice)
    fields |= more
    for name in fields:
        if name not in (known := kind.known_fields()):
            raise InvalidRequest(unknown(name, known), param=name)
    if isinstance(bias := fields.get("logit_bias"), dict):  # in JSON, keys are strings
        fields = {**fields, "logit_bias": {str(token): value for token, value in bias.items()}}
    return validated(kind, fields)


def origin_of(request_id: str | None) -> CallOrigin:
    """Of a call with this id; None: it has one of its own. Raises InvalidRequest."""
    if request_id is None:
        return CallOrigin()
    if not isinstance(request_id, str) or not 1 <= len(request_id) <= LONGEST_ID:
        raise InvalidRequest(
            f"request_id: must be a text of 1 to {LONGEST_ID} characters, found "
            f"{shown(request_id)}",
            param="request_id",
        )
    return CallOrigin(name=request_id)


class Completions(CompletionsBase):
    """`engine.completions` of an MLCEngine."""

    def create(self, *, prompt: Any, request_id: str | None = None, **fields: Any) -> Any:
        """A `Completion`, or with stream=True an iterator of its chunks."""
        body = parse_arguments(CompletionRequest, {"prompt": prompt, **fields})
        return self.answer(body, request_id)


class ChatCompletions(CompletionsBase):
    """`engine.chat.completions` of an MLCEngine."""

    def create(
        self, *, messages: list[dict[str, Any]], request_id: str | None = None, **fields: Any
    ) -> Any:
        """A `ChatCompletion`, or with stream=True an iterator of its chunks."""
        body = parse_arguments(ChatCompletionRequest, {"messages": messages, **fields})
        return self.answer(body, request_id)


class Embeddings(CompletionsBase):
    """`engine.embeddings` of an MLCEngine."""

    def create(self, *, input: Any, **fields: Any) -> Any:
        """An `EmbeddingList`, in the order of the inputs."""
        return self.whole(self.embedding_writer({"input": input, **fields}))


class AsyncEmbeddings(CompletionsBase):
    """`engine.embeddings` of an AsyncMLCEngine."""

    async def create(self, *, input: Any, **fields: Any) -> Any:
        """An `EmbeddingList`, in the order of the inputs."""
        return await self.whole_async(self.embedding_writer({"input": input, **fields}))


class AsyncCompletions(CompletionsBase):
    """`engine.completions` of an AsyncMLCEngine."""

    async def create(self, *, prompt: Any, request_id: str | None = None, **fields: Any) -> Any:
        """A `Completion`, or with stream=True an asynchronous iterator of its chunks."""
        body = parse_arguments(CompletionRequest, {"prompt": prompt, **fields})
        return await self.answer_async(body, request_id)


class AsyncChatCompletions(CompletionsBase):
    """`engine.chat.completions` of an AsyncMLCEngine."""

    async def create(
        self, *, messages: list[dict[str, Any]], request_id: str | None = None, **fields: Any
    ) -> Any:
        """A `ChatCompletion`, or with stream=True an asynchronous iterator of its chunks."""
        body = parse_arguments(ChatCompletionRequest, {"messages": messages, **fields})
        return await self.answer_async(body, request_id)


class Chat:
    """`engine.chat` of an MLCEngine."""

    def __init__(self, *parts: *Parts) -> None:
        self.completions = ChatCompletions(*parts)


class AsyncChat:
    """`engine.chat` of an AsyncMLCEngine."""

    def __init__(self, *parts: *Parts) -> None:
        self.completions = AsyncChatCompletions(*parts)
