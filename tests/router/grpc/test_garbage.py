"""Bytes that are no message are the client's mistake, whichever service it asks."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.support.router_rig import Rig, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_MESSAGE = (
    b"\xff\xff\xff\xff\x00",
    b"\x08",  # a number that is not there
    b"\x0c",  # the end of a group that has not begun
    b"\x0a\x7fshort",
    b"\xff" * 4096,
    b"\x0a\0" * (1 << 17),  # more fields than one may have
)
OURS = {"UNKNOWN", "INTERNAL", "DATA_LOSS"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint) as made:
        yield made


def methods_of(channel: grpc.Channel) -> Iterator[MethodDescriptor]:
    """Every method that the server says it has."""
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for service in database.get_services():
        yield from pool.FindServiceByName(service).methods


def asked(channel: grpc.Channel, method: MethodDescriptor, raw: bytes) -> str:
    """The status of a call with these bytes in place of its request; OK if it begins to answer."""
    told = MethodDescriptorProto()
    method.CopyToProto(told)
    path = f"/{method.containing_service.full_name}/{method.name}"
    make: Any = channel.stream_stream if told.client_streaming else channel.unary_stream
    try:
        replies = make(path)(iter([raw]) if told.client_streaming else raw, timeout=20)
        next(replies, None)
        replies.cancel()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


async def test_no_method_of_any_service_takes_garbage_for_an_error_of_ours(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(7)
    garbage = [*NO_MESSAGE, *(rng.randbytes(rng.randrange(1, 64)) for _ in range(6))]

    def all_said() -> dict[tuple[str, bytes], str]:
        with grpc.insecure_channel(rig.grpc_address) as channel:
            return {
                (method.full_name, raw): asked(channel, method, raw)
                for method in methods_of(channel)
                for raw in garbage
            }

    said = await asyncio.to_thread(all_said)
    services = {name.rpartition(".")[0] for name, _ in said}

    assert services == {
        "raylax.v1.Raylax",
        "vllm.grpc.engine.VllmEngine",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert {k: v for k, v in said.items() if v in OURS} == {}
    assert {k: v for k, v in said.items() if k[1] in NO_MESSAGE and v != "INVALID_ARGUMENT"} == {}
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == []
