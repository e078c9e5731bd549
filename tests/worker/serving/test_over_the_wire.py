"""What routers and workers say to each other on other machines: sealed, or not at all."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import Connection, ask
from raylax.proto.wire.introduction import Introduction
from raylax.worker.serving.listener import HelloListener
from tests.support.tapped_wire import FAR, Tap, tapped

TOKEN = "the cluster's secret"
PATIENCE_S = 20.0
PROMPT = b"what somebody has asked in confidence"
HELLO = pb.Hello(find_pages=pb.FindPages(names=[PROMPT])).SerializeToString()
PAGE = PROMPT * 10_000


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def loops(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


def answer(connection: Connection, hello: pb.Hello) -> None:
    """As a worker that has these pages."""
    for name in hello.find_pages.names:
        connection.send(name)
        connection.send(PAGE)
    connection.end()


async def listening() -> tuple[HelloListener, str]:
    made = HelloListener(TOKEN, answer)
    return made, await made.open(FAR)


async def answers(address: str, secret: str = TOKEN) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_S):
        return [one async for one in ask(address, HELLO, PATIENCE_S, secret)]


async def heard(address: str) -> tuple[list[bytes], Tap]:
    async with tapped(address) as (way, tap):
        return await answers(way), tap


def test_nobody_on_the_way_reads_it(loops: asyncio.Runner) -> None:
    async def story() -> tuple[list[bytes], bytes]:
        made, address = await listening()
        found, tap = await heard(address)
        made.close("the test is over")
        return found, bytes(tap.heard)

    found, on_the_wire = loops.run(story())

    assert found == [PROMPT, PAGE]
    assert len(on_the_wire) > len(PAGE)
    for secret in (PROMPT[:12], TOKEN.encode(), b"find_pages"):
        assert secret not in on_the_wire


def test_nobody_on_the_way_changes_it(loops: asyncio.Runner) -> None:
    """A bit that is another one ends the connection; nothing of what follows is believed."""

    async def story() -> str:
        made, address = await listening()
        async with tapped(address) as (way, tap):
            tap.spare = 200_000  # well within the page
            with pytest.raises(ConnectionError) as caught:
                await answers(way)
        made.close("the test is over")
        return str(caught.value)

    assert "was not sealed by the cluster" in loops.run(story())


def test_another_secret_hears_nothing(loops: asyncio.Runner) -> None:
    async def story() -> str:
        made, address = await listening()
        with pytest.raises(ConnectionError) as caught:
            await answers(address, "a guess")
        made.close("the test is over")
        return str(caught.value)

    assert loops.run(story()) == "who answers there does not know the cluster's token"


async def closed(address: str, said: bytes) -> bytes:
    """All that comes of it until the end."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x00\x00", b"\x16\x03\x01\xff\xff"]
)
def test_who_speaks_plainly_is_told_nothing(
    loops: asyncio.Runner, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the challenge; also who says nothing at all, or a part of a greeting."""
    monkeypatch.setattr("raylax.worker.serving.listener.HELLO_S", 0.3)

    async def story() -> bytes:
        made, address = await listening()
        found = await closed(address, said)
        made.close("the test is over")
        return found

    assert len(loops.run(story())) <= 7  # an alert of TLS, if anything


def test_strangers_that_shake_hands_slowly_are_counted(
    loops: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is let go for one who may be of the cluster, whatever it has begun."""
    monkeypatch.setattr("raylax.worker.serving.listener.MOST_STRANGERS", 2)

    async def story() -> list[bytes]:
        made, address = await listening()
        slow = [asyncio.create_task(closed(address, b"\x16\x03\x01")) for _ in range(4)]
        await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        found = await answers(address)
        made.close("the test is over")
        await asyncio.gather(*slow)
        return found

    assert loops.run(story()) == [PROMPT, PAGE]


def test_what_is_said_before_the_connection_is_there_comes(loops: asyncio.Runner) -> None:
    async def story() -> list[bytes]:
        come: asyncio.Queue[bytes] = asyncio.Queue()
        made = HelloListener(
            TOKEN, lambda there, hello: setattr(there, "on_message", come.put_nowait)
        )
        address = await made.open(FAR)
        connection = Connection(lambda message: None, lambda how, why: None, PATIENCE_S)
        connection.connect(address, Introduction(TOKEN, HELLO))
        for word in (b"one", b"two"):
            connection.send(word)
        async with asyncio.timeout(PATIENCE_S):
            found = [await come.get(), await come.get()]
        connection.abort()
        made.close("the test is over")
        return found

    assert loops.run(story()) == [b"one", b"two"]
