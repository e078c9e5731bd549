"""The router's gRPC server: raylax.v1, the engine protocol of gateways, health and reflection.

The router serves gRPC itself rather than through Serve's proxy: that one binds to every address
of the machine and answers neither the standard health service nor cancellation of a call.
"""

import logging
from collections.abc import Sequence

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from raylax.proto.pb import (
    raylax_pb2,
    raylax_pb2_grpc,
    vllm_engine_pb2,
    vllm_engine_pb2_grpc,
)
from raylax.proto.wire.connection_room import ConnectionRoom
from raylax.proto.wire.grpc_limits import server_options
from raylax.router.calls.models import Models
from raylax.router.grpc.connections import ConnectionParts
from raylax.router.grpc.decoding import DecodingInterceptor
from raylax.router.grpc.health import Health
from raylax.router.grpc.raylax_v1.servicer import RaylaxServicer
from raylax.router.grpc.receiving import Receiver
from raylax.router.grpc.vllm_engine.servicer import EngineProtocolServicer

NAME = raylax_pb2.DESCRIPTOR.services_by_name["Raylax"].full_name
ENGINE_PROTOCOL = vllm_engine_pb2.DESCRIPTOR.services_by_name["VllmEngine"].full_name
CONNECTIONS = 8192
"""Of clients at once, of which each may carry many calls. Each source has a part; there may be a
quarter more until it has been seen whose they are."""


def is_not_about_letters(record: logging.LogRecord) -> bool:
    """Whether a line of grpc's is about something else than metadata in another encoding than
    UTF-8, of which any client could write as many as it likes, each with a traceback."""
    return not str(record.msg).startswith("Invalid encoding on")


async def serve_grpc(
    models: Models,
    address: str,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, Health, int]:
    """Serve on an address; port 0 takes a free one. Router replicas of one host share a port.

    `interceptors` see a call first. With `credentials` it speaks TLS only. To begin with it says
    that it is not healthy.
    """
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_not_about_letters)
    receiver = Receiver(models.state.bodies, models.config.limits.body_timeout_s)
    parts = ConnectionParts(ConnectionRoom(CONNECTIONS))
    decoding = DecodingInterceptor(models.config.strict_fields, receiver, parts)
    server = grpc.aio.server(
        interceptors=[*interceptors, decoding],
        options=[
            ("grpc.so_reuseport", 1),
            *server_options(CONNECTIONS * 5 // 4, models.config.limits.max_inflight),
        ],
    )
    raylax_pb2_grpc.add_RaylaxServicer_to_server(RaylaxServicer(models), server)
    vllm_engine_pb2_grpc.add_VllmEngineServicer_to_server(EngineProtocolServicer(models), server)
    state = Health((NAME, ENGINE_PROTOCOL))
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    services = (NAME, ENGINE_PROTOCOL, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(services, server)
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    await server.start()
    parts.keep(server, port)
    return server, state, port
