"""Asks a worker what it serves."""

import grpc.aio

from raylax.proto import engine_pb2, engine_pb2_grpc
from raylax.proto.cluster_token import metadata_of


async def describe(address: str, token: str, timeout_s: float) -> engine_pb2.Description:
    """Raises grpc.aio.AioRpcError if the worker does not answer in time."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = engine_pb2_grpc.EngineStub(channel)
        request = engine_pb2.DescribeRequest()
        return await stub.Describe(request, metadata=metadata_of(token), timeout=timeout_s)
