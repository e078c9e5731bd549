"""The client for coroutines."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
import grpc.aio

from raylax.proto.client import replies, requests
from raylax.proto.client.channel import ADDRESS, channel_options, metadata
from raylax.proto.client.errors import error_of
from raylax.proto.client.requests import (
    ChatOptions,
    GenerateOptions,
    Messages,
    Options,
    Prompt,
)
from raylax.proto.client.stream_position import Deadline, StreamPosition
from raylax.proto.client.values import Answer, Embeddings, Model, Part
from raylax.proto.pb import raylax_pb2 as pb
from raylax.proto.pb import raylax_pb2_grpc
from raylax.proto.timeline import TimelineSnapshot, timeline_from_proto

Value = TypeVar("Value")


class AsyncClient:
    """What `raylax.Client` is, for coroutines. It belongs to the event loop on which it is made."""

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        timeout_s: float | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`timeout_s` holds for each call that brings none. With `credentials` it speaks TLS."""
        self._timeout_s, self._metadata = timeout_s, metadata(api_key)
        options = channel_options()
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self._stub = raylax_pb2_grpc.RaylaxStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, and every call that still runs on it."""
        await self._channel.close()

    async def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> Answer:
        """The whole answer to messages, of which a text is the user's only one."""
        parts = self.stream_chat(messages, **options)
        return replies.answer([part async for part in parts])

    def stream_chat(
        self, messages: Messages, **options: Unpack[ChatOptions]
    ) -> AsyncGenerator[Part]:
        """The same, part by part. Closing the iteration early cancels the rest."""
        request = requests.chat_request(messages, options)
        return self._stream(self._stub.Chat, request, options)

    async def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Answer:
        """The whole continuation of a text, or of token ids."""
        parts = self.stream_generate(prompt, **options)
        return replies.answer([part async for part in parts])

    def stream_generate(
        self, prompt: Prompt, **options: Unpack[GenerateOptions]
    ) -> AsyncGenerator[Part]:
        """The same, part by part. Closing the iteration early cancels the rest."""
        request = requests.generate_request(prompt, options)
        return self._stream(self._stub.Generate, request, options)

    async def embed(
        self, inputs: Sequence[Prompt], *, model: str = "", dimensions: int | None = None
    ) -> Embeddings:
        """A vector for each input. `dimensions`: only so many of their first values."""
        request = requests.embed_request(inputs, model, dimensions)
        return replies.embeddings(await self._ask(self._stub.Embed, request))

    async def models(self) -> list[Model]:
        """The models that the cluster serves."""
        reply = await self._ask(self._stub.ListModels, pb.ListModelsRequest())
        return replies.models(reply)

    async def explain(self, id: str) -> TimelineSnapshot:
        """What happened to an answer of this id."""
        request = pb.ExplainRequest(request_id=id)
        return timeline_from_proto(await self._ask(self._stub.Explain, request), id)

    async def _ask(self, method: Callable[..., Awaitable[Value]], request: object) -> Value:
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None

    async def _stream(
        self, method: Callable[..., Any], request: object, options: Options
    ) -> AsyncGenerator[Part]:
        position = StreamPosition(options.get("resume_ttl_s"))
        deadline = Deadline.after(options.get("timeout_s", self._timeout_s), time.monotonic())
        while True:
            left_s = deadline.left_s(time.monotonic())
            call = method(request, timeout=left_s, metadata=self._metadata)
            try:
                async for reply in call:
                    yield position.take(reply)
                return
            except grpc.aio.AioRpcError as error:
                position.learn_id(error.initial_metadata())
                await asyncio.sleep(position.pause_s(error, time.monotonic()))
                method, request = self._stub.ResumeStream, position.rest
            finally:
                call.cancel()
