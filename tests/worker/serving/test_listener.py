"""A worker's port is open to everybody on the machine; only its cluster gets in."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import HEAD, LARGEST_OF_STRANGERS, Connection
from raylax.proto.wire.introduction import CHALLENGE, PROOF, Introduction
from raylax.worker.serving import listener as listener_module
from raylax.worker.serving.listener import HelloListener

TOKEN = "the cluster's secret"
PATIENCE_S = 20.0
TOO_LONG = f"a message may have {LARGEST_OF_STRANGERS} bytes here, not {LARGEST_OF_STRANGERS + 1}"


@pytest.fixture
async def listener() -> AsyncIterator[tuple[HelloListener, str, list[pb.Hello]]]:
    """Its address, and who came in."""
    inside: list[pb.Hello] = []
    made = HelloListener(TOKEN, lambda connection, hello: inside.append(hello))
    yield made, await made.open("127.0.0.1"), inside
    made.close("the test is over")


async def answered(address: str, *messages: bytes, introduction: Introduction | None = None) -> str:
    """Why who says this was sent away."""
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    connection = Connection(lambda message: None, lambda how, why: over.set_result(why), PATIENCE_S)
    for message in messages:
        connection.send(message)
    connection.connect(address, introduction)
    async with asyncio.timeout(PATIENCE_S):
        return await over


def hello(token: str = TOKEN) -> Introduction:
    return Introduction(token, pb.Hello(describe=pb.Describe()).SerializeToString())


async def test_the_token_opens_it(listener: tuple[HelloListener, str, list[pb.Hello]]) -> None:
    made, address, inside = listener
    waiting = asyncio.create_task(answered(address, introduction=hello()))
    async with asyncio.timeout(PATIENCE_S):
        while not inside:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    made.close("that was all")

    assert await waiting == "that was all"


@pytest.mark.parametrize(
    ("introduction", "message", "why"),
    [
        (hello(""), None, "the cluster token is missing or another one"),
        (hello("guess"), None, "the cluster token is missing or another one"),
        (Introduction(TOKEN, b"\xff\xff"), None, "the hello cannot be read"),
        (None, b"", "the cluster token is missing or another one"),
        (None, bytes(CHALLENGE + PROOF), "the cluster token is missing or another one"),
        (hello(), b"more", "one hello is enough"),
        (None, bytes(LARGEST_OF_STRANGERS + 1), TOO_LONG),
    ],
)
async def test_others_are_told_why_not(
    listener: tuple[HelloListener, str, list[pb.Hello]],
    introduction: Introduction | None,
    message: bytes | None,
    why: str,
) -> None:
    _, address, inside = listener
    messages = [] if message is None else [message]

    assert await answered(address, *messages, introduction=introduction) == why
    assert len(inside) == (why == "one hello is enough")


async def raw(address: str, content: bytes) -> bytes:
    """What comes back until the end."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(content)
    async with asyncio.timeout(PATIENCE_S):
        said = await reader.read()
    writer.close()
    return said


def last_of(said: bytes) -> str:
    """The last word, which comes after the challenge."""
    return said[HEAD.size + CHALLENGE + HEAD.size :].decode()


async def test_another_protocol_is_none_of_ours(
    listener: tuple[HelloListener, str, list[pb.Hello]],
) -> None:
    """A browser, or a scanner of ports."""
    said = await raw(listener[1], b"GET / HTTP/1.1\r\n\r\n")

    assert last_of(said) == f"a frame of kind {ord('G')} is none of ours"


async def test_who_says_nothing_is_sent_away(
    listener: tuple[HelloListener, str, list[pb.Hello]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who only says that it is there."""
    monkeypatch.setattr(listener_module, "HELLO_S", 0.1)
    said = await raw(listener[1], struct.pack("<BI", 1, 0))

    assert last_of(said) == "no hello came within 0.1 s"


async def test_strangers_keep_out_nobody(
    listener: tuple[HelloListener, str, list[pb.Hello]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many say nothing: the oldest of them goes, and who has come in is none of them."""
    monkeypatch.setattr(listener_module, "MOST_STRANGERS", 3)
    made, address, inside = listener
    first = asyncio.create_task(answered(address, introduction=hello()))
    while not inside:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    silent = [asyncio.create_task(raw(address, b"")) for _ in range(20)]
    async with asyncio.timeout(PATIENCE_S):
        while sum(one.done() for one in silent) < 17:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        second = asyncio.create_task(answered(address, introduction=hello()))
        while len(inside) < 2 or sum(one.done() for one in silent) < 18:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    assert len(made._strangers) == 2
    told = {last_of(one.result()) for one in silent if one.done()}
    assert told - {""} == {"others have come that may know the token"}
    assert not first.done() and not second.done()
    made.close("the test is over")
    await asyncio.gather(first, second, *silent)


@pytest.mark.parametrize("shut", [lambda d: d.close("enough"), lambda d: d.abort()])
async def test_a_closed_listener_lets_nobody_in(shut: Callable[[HelloListener], None]) -> None:
    made = HelloListener(TOKEN, lambda connection, hello: None)
    address = await made.open("127.0.0.1")
    shut(made)

    assert "cannot be reached" in await answered(address, introduction=hello())
