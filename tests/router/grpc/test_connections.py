"""Who connects to a gRPC port and says too little is let go, at the port for clients and at that
for other routers."""

import asyncio
from pathlib import Path

import pytest

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.wire import grpc_limits
from tests.router.grpc.test_raw_metadata import PREFACE, SETTINGS, frame
from tests.support.router_rig import PATIENCE_S, channel, running_router

SAID = {
    "nothing": b"",
    "a beginning": PREFACE[:10],
    "who it is": PREFACE,
    "all but a call": PREFACE + frame(SETTINGS, 0, 0),
}


async def heard_from(address: str, said: bytes) -> bytes:
    """All that comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(said)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_connections_without_a_call_end_in_time(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that comes back after it was asked to leave does not notice."""
    monkeypatch.setattr(grpc_limits, "HANDSHAKE_MS", 500)
    monkeypatch.setattr(grpc_limits, "IDLE_MS", 500)
    async with running_router(checkpoint) as rig, channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        await stub.ListModels(raylax_pb2.ListModelsRequest())
        for address in (rig.grpc_address, rig.models.peers.address):
            await asyncio.gather(*(heard_from(address, said) for said in SAID.values()))
        answer = await stub.ListModels(raylax_pb2.ListModelsRequest())

    assert len(answer.models) == 1


async def test_the_connections_of_a_port_are_counted(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than there may be is closed; those that are there go on."""
    monkeypatch.setattr("raylax.router.grpc.server.CONNECTIONS", 3)
    async with running_router(checkpoint) as rig, channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        await stub.ListModels(raylax_pb2.ListModelsRequest())
        silent = [await asyncio.open_connection(*rig.grpc_address.split(":")) for _ in range(2)]

        assert await heard_from(rig.grpc_address, b"") == b""
        assert len((await stub.ListModels(raylax_pb2.ListModelsRequest())).models) == 1
        for _, writer in silent:
            writer.close()
