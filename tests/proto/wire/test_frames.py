"""Frames over a real connection: whole and in order, and an end that is always told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from raylax.proto.wire.frames import (
    HEAD,
    LARGEST_OF_STRANGERS,
    Connection,
    EndReason,
    FrameKind,
    ask,
)
from raylax.proto.wire.introduction import Examination, Introduction

PATIENCE_S = 20.0
SECRET = "the cluster's secret"


@dataclass
class Side:
    """One end, and what it has heard."""

    silence_s: float = PATIENCE_S
    heard: list[bytes] = field(default_factory=list)
    ends: list[tuple[EndReason, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = Connection(
            self.heard.append, lambda how, why: self.ends.append((how, why)), self.silence_s
        )


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@dataclass
class Pair:
    here: Side
    there: Side


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    sides: list[Side] = []

    def accept() -> Connection:
        sides.append(Side())
        return sides[-1].connection

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    here = Side()
    here.connection.send(b"first")  # before it is connected
    here.connection.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await until(lambda: sides and sides[0].heard)
    yield Pair(here, sides[0])
    server.close()
    for side in (here, *sides):
        side.connection.abort()


async def test_messages_come_whole_and_in_order(pair: Pair) -> None:
    """Empty ones, too, and those that are larger than what a read gives."""
    messages = [b"", b"a", bytes(range(256)) * 9000, b"", b"z" * 70_000, b"end"]
    for message in messages:
        pair.here.connection.send(message)
        pair.there.connection.send(message)
    await until(lambda: len(pair.there.heard) == 7 and len(pair.here.heard) == 6)

    assert pair.there.heard == [b"first", *messages]
    assert pair.here.heard == messages


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
async def test_frames_may_come_in_any_pieces(size: int) -> None:
    side, messages = Side(), [b"one", b"", b"three" * 9, b"4"]
    stream = b"".join(HEAD.pack(FrameKind.MESSAGE, len(one)) + one for one in messages)
    for at in range(0, len(stream), size):
        side.connection.data_received(stream[at : at + size])
    side.connection.abort()

    assert side.heard == messages


def accepting(on_hello: Callable[[bytes], None], secret: str = SECRET) -> Connection:
    """The other end, which hears a hello once it is proved, and shows that it knows the secret."""
    examination = Examination(secret)

    def hear(message: bytes) -> None:
        hello, answer = examination.answer_to(message)
        connection.send(answer)
        on_hello(hello)

    connection = Connection(hear, lambda how, why: None, PATIENCE_S)
    connection.send(examination.challenge)
    return connection


async def test_nothing_is_said_before_the_other_end_has_shown_who_it_is() -> None:
    """Then all of it is, in its order."""
    said: list[bytes] = []

    def accept() -> Connection:
        def greeted(hello: bytes) -> None:
            said.append(hello)
            connection.on_message = said.append

        connection = accepting(greeted)
        return connection

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    here = Connection(lambda message: None, lambda how, why: None, PATIENCE_S)
    here.send(b"first")
    here.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", Introduction(SECRET, b"hello"))
    here.send(b"second")
    async with asyncio.timeout(PATIENCE_S):
        while len(said) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    here.abort()
    server.close()

    assert said == [b"hello", b"first", b"second"]


@pytest.mark.parametrize(
    "answers",
    [[b"c" * 32, b"p" * 32], [b"c" * 32, b""], [b"", b"p" * 32], [b"c" * 33], [b"c" * (1 << 21)]],
    ids=["guess", "empty", "no challenge", "too long", "far too long"],
)
async def test_a_stranger_hears_neither_secret_nor_request(answers: list[bytes]) -> None:
    """As who has taken the port of a worker that died. The connection ends, and says why."""
    heard, left = bytearray(), asyncio.Event()
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for answer in answers:
                writer.write(HEAD.pack(FrameKind.MESSAGE, len(answer)) + answer)
            while more := await reader.read(1 << 16):
                heard.extend(more)
        writer.close()
        left.set()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    here = Connection(lambda message: None, lambda how, why: over.set_result(why), PATIENCE_S)
    here.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", Introduction(SECRET, b"hello"))
    here.send(b"the prompt of somebody")
    async with asyncio.timeout(PATIENCE_S):
        why = await over
        await left.wait()
    server.close()

    assert why in (
        "who answers there does not know the cluster's token",
        f"a message may have {LARGEST_OF_STRANGERS} bytes here, not {1 << 21}",
    )
    assert b"prompt" not in heard and SECRET.encode() not in heard


def test_under_the_loop_of_the_replicas() -> None:
    """Its transports are of other classes."""

    async def both() -> list[bytes]:
        server = await asyncio.get_running_loop().create_server(echo, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        heard = [one async for one in ask(address, b"x" * 300_000, PATIENCE_S, SECRET)]
        server.close()
        return heard

    def echo() -> Connection:
        def answer(message: bytes) -> None:
            connection.send(message)
            connection.end()

        connection = accepting(answer)
        return connection

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(both()) == [b"x" * 300_000]


async def test_an_end_says_why_after_all_that_was_said(pair: Pair) -> None:
    pair.here.connection.send(b"last")
    pair.here.connection.end("enough")
    await until(lambda: pair.there.ends)

    assert pair.there.heard == [b"first", b"last"]
    assert pair.there.ends == pair.here.ends == [(EndReason.CLOSED, "enough")]


async def test_an_end_waits_for_a_slow_reader_and_no_longer_than_needed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What watches the reader's time ends with the connection."""
    monkeypatch.setattr("raylax.proto.wire.frames.LINGER_S", 30.0)
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    transport = pair.there.connection._transport
    assert transport is not None
    transport.pause_reading()
    pair.here.connection.send(bytes(8 << 20))
    pair.here.connection.end("enough")
    transport.resume_reading()
    await until(lambda: pair.there.ends)
    lingering = pair.here.connection._lingering
    assert lingering is not None
    await until(lingering.cancelled)

    assert pair.there.ends == [(EndReason.CLOSED, "enough")]
    assert errors == []


async def test_after_an_end_nothing_is_heard(pair: Pair) -> None:
    """Even if it had come before, in the same read."""
    side = Side()
    side.connection.on_message = lambda message: side.connection.abort()
    frame = HEAD.pack(FrameKind.MESSAGE, 1) + b"x"
    side.connection.data_received(frame * 3)
    pair.here.connection.abort()
    pair.here.connection.send(b"too late")
    await until(lambda: pair.there.ends)

    assert side.ends == [(EndReason.CLOSED, "")]
    assert pair.there.ends == [(EndReason.BROKEN, "it ended the connection")]
    assert pair.there.heard == [b"first"]


async def test_silence_is_a_loss_but_an_idle_end_is_not_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raylax.proto.wire.frames.HEARTBEAT_S", 0.05)
    sides: list[Side] = []

    def accept() -> Connection:
        sides.append(Side())
        return sides[-1].connection

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    here = Side(silence_s=0.2)
    here.connection.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await asyncio.sleep(0.6)
    assert here.ends == []
    sides[0].connection._ticking.cancel()
    await until(lambda: here.ends)

    assert here.ends == [(EndReason.SILENT, "nothing was heard for 0.2 s")]
    await until(lambda: sides[0].ends)
    server.close()


async def test_a_loop_that_is_late_does_not_take_itself_for_silence(pair: Pair) -> None:
    """What has come meanwhile is read first."""
    here = Side(silence_s=0.1)
    time.sleep(0.3)  # noqa: ASYNC251  # the loop is late
    await asyncio.sleep(0.02)

    assert here.ends == []
    here.connection.abort()


async def test_nobody_there_is_an_end() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    side = Side()
    side.connection.connect(address)
    await until(lambda: side.ends)

    assert side.ends[0][0] is EndReason.BROKEN
    assert side.ends[0][1].startswith(f"{address} cannot be reached: ")


async def test_who_does_not_read_is_not_writable(pair: Pair) -> None:
    """And is again when it has read."""
    transport = pair.there.connection._transport
    assert transport is not None
    transport.pause_reading()
    pair.here.connection.send(bytes(32 << 20))
    assert not pair.here.connection.writable.is_set()
    transport.resume_reading()
    async with asyncio.timeout(PATIENCE_S):
        await pair.here.connection.writable.wait()
    await until(lambda: len(pair.there.heard) == 2)


@pytest.mark.parametrize(
    ("last", "raises"), [("", None), ("no such thing", "no such thing"), (None, "it ended")]
)
async def test_a_question_has_all_answers_or_an_error(last: str | None, raises: str | None) -> None:
    """`last`: why the other end ends it; None: it dies."""

    def accept() -> Connection:
        def answer(message: bytes) -> None:
            for part in (b"1", b"2"):
                connection.send(message + part)
            if last is None:
                assert connection._transport is not None
                connection._transport.close()
            else:
                connection.end(last)

        connection = accepting(answer)
        return connection

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    answers: list[bytes] = []
    error = ""
    try:
        async for one in ask(address, b"q", PATIENCE_S, SECRET):
            answers.append(one)
    except ConnectionError as caught:
        error = str(caught)
    server.close()

    assert answers == [b"q1", b"q2"]
    assert error.startswith(raises) if raises else not error
