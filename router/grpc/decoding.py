"""Refuses bytes that are no message as the client's mistake; gRPC would call them an error of
ours. Of fields that nobody knows the client is warned, or they are a mistake, too."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from raylax.proto.errors import InvalidRequest
from raylax.proto.warnings import warn
from raylax.router.grpc.errors import refuse
from raylax.router.grpc.unknown_fields import Decoded, decoded


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Decodes the requests of services where it can say what is wrong with them. Text that is no
    UTF-8 is the usual case."""

    def __init__(self, services: Sequence[str], strict_fields: bool) -> None:
        """`strict_fields`: a field that nobody knows is a mistake; else it is warned of."""
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._strict = strict_fields

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

        def decode(raw: bytes) -> Decoded | DecodeError:
            try:
                return decoded(handler.request_deserializer, raw)
            except DecodeError as error:
                return error

        async def answer(made: Decoded | DecodeError, context: Any) -> Any:
            if isinstance(made, DecodeError):
                await refuse(context, InvalidRequest(f"the request is not valid: {made}"))
            for field in made.unknown:
                if self._strict:
                    await refuse(context, InvalidRequest(field.said, param=field.at))
                warn(f"{field.said}; it is ignored")
            return await serve(made.request, context)

        return wrap(answer, decode, handler.response_serializer)
