"""Refuses bytes that are no message as the client's mistake; gRPC would call them an error of
ours."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from raylax.proto.errors import InvalidRequest
from raylax.router.grpc.errors import refuse


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Decodes the requests of services where it can say what is wrong with them. Text that is no
    UTF-8 is the usual case."""

    def __init__(self, services: Sequence[str]) -> None:
        self._prefixes = tuple(f"/{service}/" for service in services)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(self._prefixes):
            return handler
        if handler.unary_stream is not None:
            serve, wrap = handler.unary_stream, grpc.unary_stream_rpc_method_handler
        else:
            serve, wrap = handler.unary_unary, grpc.unary_unary_rpc_method_handler

        def decode(raw: bytes) -> Any:
            try:
                return handler.request_deserializer(raw)
            except DecodeError as error:
                return error

        async def answer(request: Any, context: Any) -> Any:
            if isinstance(request, DecodeError):
                await refuse(context, InvalidRequest(f"the request is not valid: {request}"))
            return await serve(request, context)

        return wrap(answer, decode, handler.response_serializer)
