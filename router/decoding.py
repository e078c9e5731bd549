"""Bytes that are no message are the client's mistake; gRPC would call them an error of ours."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError


class RefuseUndecodable(grpc.aio.ServerInterceptor):
    """For the streaming answers of one service, whose requests have text that may be no UTF-8."""

    def __init__(self, service: str) -> None:
        self._prefix = f"/{service}/"

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        ours = handler_call_details.method.startswith(self._prefix)
        if handler is None or not ours or handler.unary_stream is None:
            return handler

        def decode(raw: bytes) -> Any:
            try:
                return handler.request_deserializer(raw)
            except DecodeError as error:
                return error

        async def answer(request: Any, context: Any) -> None:
            if isinstance(request, DecodeError):
                why = f"the request is not valid: {request}"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
            await handler.unary_stream(request, context)

        return grpc.unary_stream_rpc_method_handler(answer, decode, handler.response_serializer)
