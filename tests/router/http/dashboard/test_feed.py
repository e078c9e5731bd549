"""The feed of /dashboard: one snapshot for all who watch, and none for nobody."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from itertools import count

import pytest
from starlette.types import Message

from raylax.proto.errors import Overloaded
from raylax.router.http.dashboard.feed import Feed, FeedStream
from raylax.router.http.disconnect import ClientLeft
from tests.support.router_rig import PATIENCE_S, until


class Snapshots:
    """Numbered, so that one can tell how many were made."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> bytes:
        self.made += 1
        return b"%d" % self.made


async def test_all_who_watch_are_told_the_same_snapshot() -> None:
    """Each is made once, and who comes later begins with the last one."""
    feed = Feed(Snapshots(), every_s=0.01)
    async with AsyncExitStack() as stack:
        parts = [await stack.enter_async_context(aclosing(feed.watch())) for _ in range(3)]
        firsts = await asyncio.gather(*(anext(one) for one in parts))
        nexts = await asyncio.gather(*(anext(one) for one in parts))
        late = await stack.enter_async_context(aclosing(feed.watch()))
        last = await anext(late)

    assert firsts == [b"1", b"1", b"1"]
    assert nexts == [b"2", b"2", b"2"]
    assert last == b"2"


async def test_nothing_is_made_for_nobody() -> None:
    make = Snapshots()
    feed = Feed(make, every_s=0.001)
    async with aclosing(feed.watch()) as parts:
        for _ in range(3):
            await anext(parts)
    made = make.made
    await asyncio.sleep(0.02)

    assert (feed.watchers, make.made) == (0, made)


async def test_who_comes_back_is_told_again() -> None:
    feed = Feed(Snapshots(), every_s=0.001)
    for _ in range(2):
        async with aclosing(feed.watch()) as parts:
            heard = [await anext(parts) for _ in range(2)]

    assert heard[0] != heard[1]


async def test_no_more_watch_than_may() -> None:
    feed = Feed(Snapshots(), most=1)
    async with aclosing(feed.watch()) as parts:
        await anext(parts)
        with pytest.raises(Overloaded, match="at most 1 pages may watch") as refused:
            await anext(feed.watch())

    assert refused.value.retry_after_s == 20


async def test_a_stream_ends_by_itself() -> None:
    """So that a router that ends need not wait for its pages."""
    feed = Feed(Snapshots(), every_s=0.001, lasts_s=0.02)

    assert len([one async for one in feed.watch()]) > 1


async def test_a_snapshot_that_fails_ends_the_streams_and_is_followed_by_the_next_one() -> None:
    """All who watched are told that it failed; who begins another stream goes on."""
    numbers = count()

    async def make() -> bytes:
        if (number := next(numbers)) == 1:
            raise ValueError("no")
        return b"%d" % number

    feed = Feed(make, every_s=0.001)
    async with AsyncExitStack() as stack:
        parts = [await stack.enter_async_context(aclosing(feed.watch())) for _ in range(2)]
        firsts = await asyncio.gather(*(anext(one) for one in parts))
        failed = await asyncio.gather(*(anext(one) for one in parts), return_exceptions=True)
        again = await stack.enter_async_context(aclosing(feed.watch()))
        heard = await asyncio.wait_for(anext(again), PATIENCE_S)

    assert firsts == [b"0", b"0"]
    assert [str(one) for one in failed] == ["no", "no"]
    assert heard == b"2"


async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    """And takes nobody's place any more."""
    feed = Feed(Snapshots(), every_s=0.001)

    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("it says nothing")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.get_running_loop().create_future()

    with pytest.raises(ClientLeft):
        await FeedStream(feed, read_s=0.01)({}, receive, send)
    await until(lambda: feed.watchers == 0)
