"""Refuses bytes that are no message as the client's mistake; gRPC would call them an error of
ours. Of fields that nobody knows the client is warned, or they are a mistake, too."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health

from raylax.proto.errors import InvalidRequest, RaylaxError
from raylax.proto.warnings import warn
from raylax.router.grpc.authentication import MAKERS, served_by
from raylax.router.grpc.connections import ConnectionParts
from raylax.router.grpc.errors import refuse
from raylax.router.grpc.receiving import Receiver, is_end
from raylax.router.grpc.unknown_fields import Decoded, decoded


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Decodes the requests of every service where it can say what is wrong with them. Text that is
    no UTF-8 is the usual case."""

    def __init__(self, strict_fields: bool, receiver: Receiver, parts: ConnectionParts) -> None:
        """`strict_fields`: a field that nobody knows is a mistake; else it is warned of. `parts`:
        are told whose calls are under way, but for those about health, which anybody may make."""
        self._strict, self._receiver, self._parts = strict_fields, receiver, parts

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        serve = served_by(handler)
        is_health = handler_call_details.method.startswith(f"/{health.SERVICE_NAME}/")

        def decode(raw: bytes) -> Decoded | DecodeError:
            try:
                return decoded(handler.request_deserializer, raw)
            except DecodeError as error:
                return error

        async def answer(_: Any, context: Any) -> Any:
            async for request in self._requests(context):
                return await serve(request, context)
            await refuse(context, InvalidRequest("the call has no request"))

        async def answer_each(_: Any, context: Any) -> None:
            async for reply in serve(self._requests(context), context):
                await context.write(reply)

        usual = answer_each if handler.request_streaming else answer

        async def while_busy(_: Any, context: Any) -> Any:
            with self._parts.busy(context.peer()):
                return await usual(_, context)

        return MAKERS[True, handler.response_streaming](  # so that they are received here
            usual if is_health else while_busy,
            decode,
            handler.response_serializer,
        )

    async def _requests(self, context: Any) -> AsyncIterator[Any]:
        """The requests of a call as they come. It ends where one is not as it should be."""
        while True:
            try:
                made = await self._receiver.next(context)
            except RaylaxError as error:
                await refuse(context, error)
            if is_end(made):
                return
            yield await self._checked(made, context)

    async def _checked(self, made: Decoded | DecodeError, context: Any) -> Any:
        """The request; the call ends where there is none."""
        if isinstance(made, DecodeError):
            await refuse(context, InvalidRequest(f"the request is not valid: {made}"))
        for field in made.unknown:
            if self._strict:
                await refuse(context, InvalidRequest(field.said, param=field.at))
            warn(f"{field.said}; it is ignored")
        return made.request
