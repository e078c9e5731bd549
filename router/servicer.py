"""raylax.v1 over a Service, with the standard health and reflection services.

The router serves gRPC itself rather than through Serve's proxy: that one binds to every address
of the machine and answers neither the standard health service nor cancellation of a call.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from raylax.proto import grpc_api, raylax_pb2, raylax_pb2_grpc
from raylax.proto.call import Call
from raylax.proto.errors import DeadlineExceeded, RaylaxError, WorkerUnavailable
from raylax.proto.events import TextEvent
from raylax.router.decoding import RefuseUndecodable
from raylax.router.service import Service

log = logging.getLogger(__name__)
LAST_WORDS_S = 1.0
"""How long a client may take to read the end, after the call's own time."""
NAME = raylax_pb2.DESCRIPTOR.services_by_name["Raylax"].full_name
Context = grpc.aio.ServicerContext[Any, Any]
Reply = raylax_pb2.ChatReply | raylax_pb2.GenerateReply


class RaylaxServicer(raylax_pb2_grpc.RaylaxServicer):
    """`service_of()` is None until a worker has been seen."""

    def __init__(self, service_of: Callable[[], Service | None]) -> None:
        self._service_of = service_of

    def _service(self) -> Service:
        if (service := self._service_of()) is None:
            raise WorkerUnavailable("no worker is ready yet")
        return service

    async def Chat(  # type: ignore[override]  # its stub knows generators only
        self, request: raylax_pb2.ChatRequest, context: Context
    ) -> None:
        def make(service: Service) -> Call:
            return service.chat(grpc_api.chat_request(request))

        await self._answer(request.ByteSize(), make, grpc_api.chat_reply, context)

    async def Generate(  # type: ignore[override]
        self, request: raylax_pb2.GenerateRequest, context: Context
    ) -> None:
        def make(service: Service) -> Call:
            return service.completion(grpc_api.generate_request(request))

        await self._answer(request.ByteSize(), make, grpc_api.generate_reply, context)

    async def ListModels(
        self, request: raylax_pb2.ListModelsRequest, context: Context
    ) -> raylax_pb2.ListModelsReply:
        try:
            service = self._service()
        except RaylaxError as error:
            await context.abort(error.grpc_status, error.message)
        longest = service.frontend.max_sequence_length
        model = raylax_pb2.Model(id=service.config.model_name, max_model_len=longest)
        return raylax_pb2.ListModelsReply(models=[model])

    async def _answer(
        self,
        size: int,
        make: Callable[[Service], Call],
        reply_of: Callable[[str, str, TextEvent], Reply],
        context: Context,
    ) -> None:
        """Writes replies as events come; the client's deadline is the call's.

        It writes rather than yields: a cancellation then arrives here, and not in an iteration
        that nobody goes on with.
        """
        try:
            service, timeout_s = self._service(), context.time_remaining()
            call = await service.prepare(size, lambda: make(service))
            events = service.run(call, timeout_s)
            try:
                async with asyncio.timeout(service.allowed_s(timeout_s) + LAST_WORDS_S):
                    async for event in events:
                        reply = reply_of(call.id, service.config.model_name, event)
                        if call.done:
                            reply.usage.CopyFrom(grpc_api.usage_message(call.usage))
                        await context.write(reply)
            finally:
                await events.aclose()  # cancels what still runs
        except RaylaxError as error:
            await context.abort(error.grpc_status, error.message)
        except TimeoutError:
            too_slow = DeadlineExceeded("the replies were not read before the deadline")
            await context.abort(too_slow.grpc_status, too_slow.message)
        except Exception:
            log.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "the router failed; its log says why")


async def serve_grpc(
    servicer: RaylaxServicer, address: str
) -> tuple[grpc.aio.Server, health.aio.HealthServicer, int]:
    """Serve on an address; port 0 takes a free one. Router replicas of one host share a port."""
    server = grpc.aio.server(
        interceptors=[RefuseUndecodable(NAME)], options=[("grpc.so_reuseport", 1)]
    )
    raylax_pb2_grpc.add_RaylaxServicer_to_server(servicer, server)
    state = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    services = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(services, server)
    port = server.add_insecure_port(address)
    await server.start()
    await set_health(state, serving=False)
    return server, state, port


async def set_health(state: health.aio.HealthServicer, serving: bool) -> None:
    statuses = health_pb2.HealthCheckResponse
    status = statuses.SERVING if serving else statuses.NOT_SERVING
    await asyncio.gather(*(state.set(name, status) for name in ("", NAME)))
