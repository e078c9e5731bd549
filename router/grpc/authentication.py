"""What stands in front of the gRPC services: who may come in. Health is for everybody."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health

from raylax.proto.errors import RaylaxError
from raylax.proto.warnings import collect_warnings
from raylax.router.access.authentication import AccessLevel, Authenticator, Headers
from raylax.router.access.caller import CALLER, Caller
from raylax.router.access.refusals import RefusalLog
from raylax.router.grpc.errors import REFUSED, refuse
from raylax.router.grpc.refusal_spans import refusal_of
from raylax.router.observe.telemetry import Telemetry

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""How to make a handler, by whether its requests, and its answers, are streams."""


class AuthenticationInterceptor(grpc.aio.ServerInterceptor):
    """Asks for a key in front of every method of every service on this server, but for health."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        is_health = handler_call_details.method.startswith(f"/{health.SERVICE_NAME}/")
        headers = headers_in(handler_call_details.invocation_metadata)
        caller = self._authenticator.identify(headers)
        try:
            level = AccessLevel.PUBLIC if is_health else AccessLevel.ANY_KEY
            caller = self._authenticator.authenticate(caller, headers, level)
        except RaylaxError as error:
            return refusing(handler, self._call(handler_call_details.method, caller), error)
        call = self._call(handler_call_details.method, caller)
        return authenticated(handler, call, self._authenticator, level)

    def _call(self, method: str, caller: Caller) -> "AuthenticatedCall":
        to = self._authenticator
        return AuthenticatedCall(method, caller, to.telemetry, to.refusals)


@dataclass(frozen=True, slots=True)
class AuthenticatedCall:
    """A call of a method, with its caller. One that is refused has a line in the log; before it
    begins it becomes a span."""

    method: str
    caller: Caller
    telemetry: Telemetry
    refusals: RefusalLog

    async def run(self, serve: Callable[..., Awaitable[Any]], request: Any, context: Any) -> Any:
        CALLER.set(self.caller)
        begun = time.monotonic()
        try:
            return await serve(request, context)
        except grpc.aio.AbortError:
            took_s = time.monotonic() - begun
            if (error := REFUSED.get(None)) is not None:
                self.refusals.note(self.method, error.grpc_status, self.caller, error)
            if (told := refusal_of(self.method, self.caller, context, took_s)) is not None:
                self.telemetry.refuse(told)
            raise

    async def refuse(self, context: Any, error: RaylaxError) -> None:
        async def refusal(_: Any, context: Any) -> None:
            await refuse(context, error)

        await self.run(refusal, None, context)


def headers_in(metadata: Sequence[tuple[str, str | bytes]]) -> Headers:
    def values(name: str) -> list[str]:
        return [value for key, value in metadata if key == name and isinstance(value, str)]

    return values


def authenticated(
    handler: Handler, call: AuthenticatedCall, authenticator: Authenticator, level: AccessLevel
) -> Handler:
    """The same method, which knows its caller, and counts it."""
    serve = served_by(handler)

    async def answer(request: Any, context: Any) -> Any:
        warnings = collect_warnings()
        try:
            with authenticator.visit(call.caller, level):
                replied = await call.run(serve, request, context)
        except RaylaxError as error:
            return await call.refuse(context, error)
        told = call.caller.headers() | warnings.headers()
        context.set_trailing_metadata(tuple(told.items()))
        return replied

    make = MAKERS[handler.request_streaming, handler.response_streaming]
    return make(answer, handler.request_deserializer, handler.response_serializer)


def served_by(handler: Handler) -> Any:
    """The method itself, which a handler has by whether its requests and its answers stream."""
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


def refusing(handler: Handler, call: AuthenticatedCall, error: RaylaxError) -> Handler:
    """The same method, which says why it does nothing; its requests are not even decoded."""

    async def answer(request: Any, context: Any) -> None:
        await call.refuse(context, error)

    return MAKERS[handler.request_streaming, handler.response_streaming](answer)
