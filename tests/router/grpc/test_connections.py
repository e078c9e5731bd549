"""Who connects to a gRPC port and says too little is let go, at the port for clients and at that
for other routers."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from raylax.proto.pb import common_pb2, raylax_pb2, raylax_pb2_grpc, vllm_engine_pb2_grpc
from raylax.proto.wire import grpc_limits
from raylax.proto.wire.connection_room import THIS_MACHINE, ConnectionRoom, source_of
from raylax.router.grpc.connections import Connection, connections_at, excess
from tests.router.grpc.test_raw_metadata import PREFACE, SETTINGS, frame
from tests.support.router_rig import PATIENCE_S, channel, running_router, until

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


async def test_no_source_has_all_connections(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the silent ones so many are closed that there is room; a stream that says nothing goes on,
    and another's call is answered."""
    most = 64
    monkeypatch.setattr("raylax.router.grpc.server.CONNECTIONS", most)
    monkeypatch.setattr("raylax.router.grpc.connections.LOOK_EVERY_S", 0.0)
    part = ConnectionRoom(most).of_this_machine
    async with running_router(checkpoint) as rig, channel(rig.grpc_address) as first:
        port = int(rig.grpc_address.rpartition(":")[2])
        stub = vllm_engine_pb2_grpc.VllmEngineStub(first)
        stream = stub.SubscribeKvEvents(common_pb2.SubscribeKvEventsRequest())
        await stream.read()
        with ExitStack() as stack:
            silent = [
                stack.enter_context(silent_one(f"127.0.0.{1 + number % 3}", port))
                for number in range(most - 2)
            ]
            await until(lambda: sum(map(is_closed, silent)) >= most - 1 - part)
            async with channel(rig.grpc_address) as second:
                models = raylax_pb2_grpc.RaylaxStub(second)
                answer = await models.ListModels(raylax_pb2.ListModelsRequest())

            assert len(answer.models) == 1
            assert len(connections_at(port)) <= part
            assert not stream.done()
        stream.cancel()


def silent_one(source: str, port: int) -> socket.socket:
    """Who connects and says all but a call."""
    made = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (source, 0))
    made.sendall(SAID["all but a call"])
    made.setblocking(False)
    return made


def is_closed(made: socket.socket) -> bool:
    try:
        while made.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def a_connection(number: int, source: str, silent_s: float) -> Connection:
    return Connection(number, f"{source}:{number}", source, silent_s)


def test_who_is_silent_goes_first_and_who_has_a_call_last() -> None:
    room = ConnectionRoom(24)  # 3 of an address
    theirs = [a_connection(number, "10.0.0.1", silent_s=number) for number in range(6)]
    others = [a_connection(number, "10.0.0.2", silent_s=99.0) for number in range(6, 9)]

    gone = excess([*theirs, *others], {"10.0.0.1:5", "10.0.0.1:3"}, room)

    assert [one.fd for one in gone] == [4, 2, 1]


def test_while_it_is_crowded_an_address_has_less() -> None:
    room = ConnectionRoom(32)
    crowd = [a_connection(number, THIS_MACHINE, 1.0) for number in range(24)]
    theirs = [a_connection(number, "10.0.0.1", 1.0) for number in range(24, 27)]

    assert excess([*crowd, *theirs[:1]], set(), room) == []
    assert [one.source for one in excess([*crowd, *theirs], set(), room)] == ["10.0.0.1"] * 2


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("127.8.9.10", THIS_MACHINE),
        ("::1", THIS_MACHINE),
        ("::ffff:127.0.0.1", THIS_MACHINE),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_source(host: str, source: str) -> None:
    assert source_of(host) == source
