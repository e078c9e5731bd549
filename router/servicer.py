"""raylax.v1 over a Service, with the standard health and reflection services.

The router serves gRPC itself rather than through Serve's proxy: that one binds to every address
of the machine and answers neither the standard health service nor cancellation of a call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from raylax.proto import grpc_api, raylax_pb2, raylax_pb2_grpc
from raylax.proto.call import Call
from raylax.proto.errors import RaylaxError, WorkerUnavailable
from raylax.proto.events import TextEvent
from raylax.router.service import Service

NAME = raylax_pb2.DESCRIPTOR.services_by_name["Raylax"].full_name
Context = grpc.aio.ServicerContext[Any, Any]


class RaylaxServicer(raylax_pb2_grpc.RaylaxServicer):
    """`service_of()` is None until a worker has been seen."""

    def __init__(self, service_of: Callable[[], Service | None]) -> None:
        self._service_of = service_of

    def _service(self) -> Service:
        if (service := self._service_of()) is None:
            raise WorkerUnavailable("no worker is ready yet")
        return service

    async def Chat(
        self, request: raylax_pb2.ChatRequest, context: Context
    ) -> AsyncIterator[raylax_pb2.ChatReply]:
        try:
            call = self._service().chat(grpc_api.chat_request(request))
            async for event, last in self._events(call, context):
                reply = grpc_api.chat_reply(call.id, self._service().config.model_name, event)
                if last:
                    reply.usage.CopyFrom(grpc_api.usage_message(call.usage))
                yield reply
        except RaylaxError as error:
            await context.abort(error.grpc_status, error.message)

    async def Generate(
        self, request: raylax_pb2.GenerateRequest, context: Context
    ) -> AsyncIterator[raylax_pb2.GenerateReply]:
        try:
            call = self._service().completion(grpc_api.generate_request(request))
            async for event, last in self._events(call, context):
                reply = grpc_api.generate_reply(call.id, self._service().config.model_name, event)
                if last:
                    reply.usage.CopyFrom(grpc_api.usage_message(call.usage))
                yield reply
        except RaylaxError as error:
            await context.abort(error.grpc_status, error.message)

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

    async def _events(self, call: Call, context: Context) -> AsyncIterator[tuple[TextEvent, bool]]:
        """Events, and whether each is the last; the client's deadline is the call's."""
        events = self._service().run(call, context.time_remaining())
        try:
            async for event in events:
                yield event, call.done
        finally:
            await events.aclose()  # cancels what still runs


async def serve_grpc(
    servicer: RaylaxServicer, address: str
) -> tuple[grpc.aio.Server, health.aio.HealthServicer, int]:
    """Serve on an address; port 0 takes a free one. Router replicas of one host share a port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
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
