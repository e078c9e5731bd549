"""A worker's port is open to everybody on the machine; only its cluster gets in."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import HEAD, Connection
from raylax.worker.serving import listener as listener_module
from raylax.worker.serving.listener import LARGEST_HELLO, HelloListener

TOKEN = "the cluster's secret"
PATIENCE_S = 20.0


@pytest.fixture
async def listener() -> AsyncIterator[tuple[HelloListener, str, list[pb.Hello]]]:
    """Its address, and who came in."""
    inside: list[pb.Hello] = []
    made = HelloListener(TOKEN, lambda connection, hello: inside.append(hello))
    yield made, await made.open("127.0.0.1"), inside
    made.close("the test is over")


async def answered(address: str, *messages: bytes) -> str:
    """Why who says this was sent away."""
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    connection = Connection(lambda message: None, lambda how, why: over.set_result(why), PATIENCE_S)
    for message in messages:
        connection.send(message)
    connection.connect(address)
    async with asyncio.timeout(PATIENCE_S):
        return await over


def hello(token: str = TOKEN) -> bytes:
    return pb.Hello(token=token, describe=pb.Describe()).SerializeToString()


async def test_the_token_opens_it(listener: tuple[HelloListener, str, list[pb.Hello]]) -> None:
    made, address, inside = listener
    waiting = asyncio.create_task(answered(address, hello()))
    async with asyncio.timeout(PATIENCE_S):
        while not inside:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    made.close("that was all")

    assert await waiting == "that was all"


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((hello(""),), "the cluster token is missing or another one"),
        ((hello("guess"),), "the cluster token is missing or another one"),
        ((b"\xff\xff",), "the hello cannot be read"),
        ((hello(), hello()), "one hello is enough"),
        (
            (bytes(LARGEST_HELLO + 1),),
            f"a message may have {LARGEST_HELLO} bytes here, not {LARGEST_HELLO + 1}",
        ),
    ],
)
async def test_others_are_told_why_not(
    listener: tuple[HelloListener, str, list[pb.Hello]], messages: tuple[bytes, ...], why: str
) -> None:
    _, address, inside = listener

    assert await answered(address, *messages) == why
    assert len(inside) == (len(messages) - 1)


async def raw(address: str, content: bytes) -> bytes:
    """What comes back until the end."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(content)
    async with asyncio.timeout(PATIENCE_S):
        said = await reader.read()
    writer.close()
    return said


async def test_another_protocol_is_none_of_ours(
    listener: tuple[HelloListener, str, list[pb.Hello]],
) -> None:
    """A browser, or a scanner of ports."""
    said = await raw(listener[1], b"GET / HTTP/1.1\r\n\r\n")

    assert said[HEAD.size :].decode() == f"a frame of kind {ord('G')} is none of ours"


async def test_who_says_nothing_is_sent_away(
    listener: tuple[HelloListener, str, list[pb.Hello]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who only says that it is there."""
    monkeypatch.setattr(listener_module, "HELLO_S", 0.1)
    said = await raw(listener[1], struct.pack("<BI", 1, 0))

    assert said[HEAD.size :].decode() == "no hello came within 0.1 s"


@pytest.mark.parametrize("shut", [lambda d: d.close("enough"), lambda d: d.abort()])
async def test_a_closed_listener_lets_nobody_in(shut: Callable[[HelloListener], None]) -> None:
    made = HelloListener(TOKEN, lambda connection, hello: None)
    address = await made.open("127.0.0.1")
    shut(made)

    assert "cannot be reached" in await answered(address, hello())
