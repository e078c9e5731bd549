"""The client for ordinary code: it needs no event loop, and any number of threads may use one."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc

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


class Client:
    """Talks to a router by gRPC. Raises the errors of `raylax.proto.errors`.

    With `resume_ttl_s` the router keeps an answer for so long without its client, and a stream
    whose connection was lost goes on where it was.
    """

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
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self._stub: raylax_pb2_grpc.RaylaxStub = raylax_pb2_grpc.RaylaxStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and every call that still runs on it."""
        self._channel.close()

    def chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> Answer:
        """The whole answer to messages, of which a text is the user's only one."""
        return replies.answer(list(self.stream_chat(messages, **options)))

    def stream_chat(self, messages: Messages, **options: Unpack[ChatOptions]) -> Iterator[Part]:
        """The same, part by part. Leaving the iteration early cancels the rest."""
        request = requests.chat_request(messages, options)
        return self._stream(self._stub.Chat, request, options)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Answer:
        """The whole continuation of a text, or of token ids."""
        return replies.answer(list(self.stream_generate(prompt, **options)))

    def stream_generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> Iterator[Part]:
        """The same, part by part. Leaving the iteration early cancels the rest."""
        request = requests.generate_request(prompt, options)
        return self._stream(self._stub.Generate, request, options)

    def embed(
        self, inputs: Sequence[Prompt], *, model: str = "", dimensions: int | None = None
    ) -> Embeddings:
        """A vector for each input. `dimensions`: only so many of their first values."""
        request = requests.embed_request(inputs, model, dimensions)
        return replies.embeddings(self._ask(self._stub.Embed, request))

    def models(self) -> list[Model]:
        """The models that the cluster serves."""
        return replies.models(self._ask(self._stub.ListModels, pb.ListModelsRequest()))

    def explain(self, id: str) -> TimelineSnapshot:
        """What happened to an answer of this id."""
        request = pb.ExplainRequest(request_id=id)
        return timeline_from_proto(self._ask(self._stub.Explain, request), id)

    def _ask(self, method: Callable[..., Value], request: object) -> Value:
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            raise error_of(error) from None

    def _stream(
        self, method: Callable[..., Any], request: object, options: Options
    ) -> Iterator[Part]:
        position = StreamPosition(options.get("resume_ttl_s"))
        deadline = Deadline.after(options.get("timeout_s", self._timeout_s), time.monotonic())
        while True:
            left_s = deadline.left_s(time.monotonic())
            call = method(request, timeout=left_s, metadata=self._metadata)
            try:
                for reply in call:
                    yield position.take(reply)
                return
            except grpc.RpcError as error:
                assert isinstance(error, grpc.Call)
                position.learn_id(call.initial_metadata())
                time.sleep(position.pause_s(error, time.monotonic()))
                method, request = self._stub.ResumeStream, position.rest
            finally:
                call.cancel()
