"""What gateways are told of the workers' pages, and how they have them dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from raylax.proto.errors import Overloaded
from raylax.proto.pages import PAGE_SIZE, names_of, router_key
from raylax.proto.pb import common_pb2, engine_pb2, vllm_engine_pb2_grpc
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.access.keys import Key
from raylax.router.access.keys import hash_of as key_hash
from raylax.router.fleet.prefix_index import PrefixIndex
from raylax.router.grpc.vllm_engine import kv_events
from raylax.router.grpc.vllm_engine.kv_events import KvEventFeed, hash_of
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    channel,
    running_router,
    until,
)

PROMPT = tuple(range(5, 5 + 2 * PAGE_SIZE + 3))
OTHER = tuple(range(40, 40 + PAGE_SIZE + 1))
Blocks = dict[int, tuple[int | None, tuple[int, ...]]]
"""By hash: the parent's, and tokens."""


class Gateway:
    """A subscriber that keeps what it is told, as the protocol wants it to be told."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.blocks: Blocks = {}
        self.number = 0
        self.chunks: list[common_pb2.KvSnapshotChunk] = []

    async def hear(self) -> common_pb2.KvEventBatch:
        batch: common_pb2.KvEventBatch = await asyncio.wait_for(self._call.read(), PATIENCE_S)
        assert self.number in (0, batch.sequence_number - 1), "there is a gap"
        self.number = batch.sequence_number
        if batch.HasField("snapshot"):
            self.chunks.append(batch.snapshot)
        for event in batch.events:
            self._apply(event)
        return batch

    async def hear_until(self, *prompts: tuple[int, ...]) -> None:
        while self.blocks != blocks_of(*prompts):
            await self.hear()

    def _apply(self, event: common_pb2.KvCacheEvent) -> None:
        match event.WhichOneof("data"):
            case "cleared":
                self.blocks.clear()
            case "removed":
                for name in event.removed.block_hashes:
                    del self.blocks[name]
            case "stored":
                given = event.stored.HasField("parent_block_hash")
                parent = event.stored.parent_block_hash if given else None
                assert parent is None or parent in self.blocks, "a parent comes first"
                for block in event.stored.blocks:
                    assert block.block_size == len(block.token_ids) == PAGE_SIZE
                    self.blocks[block.block_hash] = parent, tuple(block.token_ids)
                    parent = block.block_hash


def blocks_of(*prompts: tuple[int, ...]) -> Blocks:
    blocks: Blocks = {}
    for tokens in prompts:
        parent = None
        for at, name in enumerate(names_of(tokens)):
            page = tokens[PAGE_SIZE * at : PAGE_SIZE * (at + 1)]
            blocks[hash_of(router_key(name))] = parent, page
            parent = hash_of(router_key(name))
    return blocks


@asynccontextmanager
async def subscribed(rig: Rig, start: int = 0) -> AsyncIterator[Gateway]:
    """It has heard its first batch."""
    async with channel(rig.grpc_address) as made:
        stub: Any = vllm_engine_pb2_grpc.VllmEngineStub(made)
        request = common_pb2.SubscribeKvEventsRequest(start_sequence_number=start)
        gateway = Gateway(stub.SubscribeKvEvents(request))
        await gateway.hear()
        yield gateway


async def ask(rig: Rig, tokens: tuple[int, ...], count: int = 1) -> int:
    """How many of them were cached."""
    sampling = pb.SamplingParams(temperature=0, max_tokens=count, ignore_eos=True)
    request = pb.GenerateRequest(
        tokenized=pb.TokenizedInput(input_ids=tokens), sampling_params=sampling
    )
    async with channel(rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        (reply,) = [one async for one in stub.Generate(request)]
    return reply.complete.cached_tokens


async def flush(rig: Rig, timeout_s: float = 0) -> common_pb2.FlushCacheResponse:
    async with channel(rig.grpc_address) as made:
        stub: Any = vllm_engine_pb2_grpc.VllmEngineStub(made)
        reply: common_pb2.FlushCacheResponse = await stub.FlushCache(
            common_pb2.FlushCacheRequest(timeout_s=timeout_s)
        )
    return reply


async def test_blocks_are_told_of_with_their_tokens(rig: Rig) -> None:
    """Those of requests that came since somebody subscribed; what was there before is told of when
    it is asked for again."""
    await ask(rig, OTHER)
    async with subscribed(rig) as gateway:
        before = dict(gateway.blocks)
        await ask(rig, PROMPT)
        await gateway.hear_until(PROMPT)
        await ask(rig, OTHER)
        await gateway.hear_until(PROMPT, OTHER)

    assert before == {}
    assert gateway.chunks[0].unknown_before > 0


async def test_who_comes_later_is_told_what_there_is(rig: Rig) -> None:
    async with subscribed(rig) as first:
        await ask(rig, PROMPT)
        await first.hear_until(PROMPT)
        async with subscribed(rig) as second:
            there = dict(second.blocks)
            await ask(rig, OTHER)
            await first.hear_until(PROMPT, OTHER)
            await second.hear_until(PROMPT, OTHER)

    assert there == blocks_of(PROMPT)
    assert [(chunk.index, chunk.count, chunk.blocks) for chunk in second.chunks] == [(0, 1, 2)]
    assert second.number == first.number


async def test_a_subscription_goes_on_after_a_number(rig: Rig) -> None:
    """With what came meanwhile; without it, it waits for what comes next."""
    async with subscribed(rig) as first:
        await ask(rig, PROMPT)
        await first.hear_until(PROMPT)
    heard, feed = first.number, rig.router.watcher
    await ask(rig, OTHER)
    assert isinstance(feed, KvEventFeed)
    await until(lambda: feed._number > heard)
    async with subscribed(rig, heard + 1) as again:
        again.blocks |= first.blocks
        await again.hear_until(PROMPT, OTHER)

    assert again.chunks == []


async def test_a_flush_drops_what_no_request_uses(rig: Rig) -> None:
    """Subscribers hear of it, and the next request has to compute it again."""
    async with subscribed(rig) as gateway:
        await ask(rig, PROMPT)
        await gateway.hear_until(PROMPT)
        cached = await ask(rig, PROMPT)
        reply = await flush(rig)
        await gateway.hear_until()
        again = await ask(rig, PROMPT)
        await gateway.hear_until(PROMPT)

    assert (cached, again) == (2 * PAGE_SIZE, 0)
    assert (reply.success, reply.message) == (True, "no worker has any page")


async def test_what_runs_keeps_its_pages(rig: Rig) -> None:
    """A flush then says that it could not drop everything, unless it may wait."""
    want = await ask(rig, PROMPT, 8)
    worker = rig.workers[0]
    worker.hold(steps=2)
    asking = asyncio.create_task(ask(rig, PROMPT, 8))
    await until(lambda: worker.running)
    at_once = await flush(rig)
    waiting = asyncio.create_task(flush(rig, timeout_s=PATIENCE_S))
    worker.let_go()
    reply = await waiting

    assert (want, await asking) == (0, 2 * PAGE_SIZE)
    assert not at_once.success and "1 requests are in flight" in at_once.message
    assert reply.success
    assert await ask(rig, PROMPT) == 0


async def test_a_time_to_wait_is_seconds(rig: Rig) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="must be seconds, 0 or more, found -1") as told:
        await flush(rig, timeout_s=-1)

    assert told.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_lost_worker_has_no_blocks(rig: Rig) -> None:
    async with subscribed(rig) as gateway:
        await ask(rig, PROMPT)
        await gateway.hear_until(PROMPT)
        await rig.workers[0].die()
        await gateway.hear_until()


async def test_who_leaves_is_not_told_any_more(rig: Rig) -> None:
    async with subscribed(rig):
        feed = rig.router.watcher
        assert isinstance(feed, KvEventFeed)
        readers = feed._subscribers
        assert len(readers) == 1
    await until(lambda: not readers)


async def test_both_are_for_admins(checkpoint: Path) -> None:
    """One tells of everybody's prompts, the other makes everybody slower."""
    keys = [Key("alice", key_hash("hers")), Key("root", key_hash("his"), admin=True)]
    async with running_router(checkpoint, keys=keys) as rig, channel(rig.grpc_address) as made:
        stub: Any = vllm_engine_pb2_grpc.VllmEngineStub(made)
        hers, his = ((("x-api-key", secret),) for secret in ("hers", "his"))

        async def flush(key: Any) -> None:
            await stub.FlushCache(common_pb2.FlushCacheRequest(), metadata=key)

        async def subscribe(key: Any) -> None:
            request = common_pb2.SubscribeKvEventsRequest()
            await stub.SubscribeKvEvents(request, metadata=key).read()

        for call in (flush, subscribe):
            with pytest.raises(grpc.aio.AioRpcError, match="needs an admin's API key") as told:
                await call(hers)
            assert told.value.code() == grpc.StatusCode.PERMISSION_DENIED
            await call(his)
        assert [(act.who, act.what) for act in rig.models.state.acts.last] == [
            ("root", "FlushCache")
        ]


class Watched:
    """A feed whose only worker has whatever it says."""

    def __init__(self) -> None:
        self._prefixes = PrefixIndex()
        self.feed = KvEventFeed(self._prefixes, lambda: 1000.0)

    def come(self, count: int) -> None:
        """So many blocks, each a prompt of its own."""
        for name in range(count):
            self._prefixes.apply(0, [name], [])
            self.feed.routed((name,) * PAGE_SIZE, [name])

    def tell_anew(self, *names: int) -> None:
        """The worker has these and no others."""
        self._prefixes.apply(0, names, [], snapshot=True)
        self.feed.reported(engine_pb2.PageEvents(added=names, snapshot=True))


async def taken(feed: KvEventFeed, count: int, start: int = 0) -> list[common_pb2.KvEventBatch]:
    with feed.subscribed("", start) as reader:
        batches = reader.batches()
        return [await asyncio.wait_for(anext(batches), PATIENCE_S) for _ in range(count)]


async def test_a_long_snapshot_comes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbered up to the state that they show; the first one clears."""
    monkeypatch.setattr(kv_events, "CHUNK_BLOCKS", 2)
    watched = Watched()
    watched.come(5)
    chunks = await taken(watched.feed, 3)
    last = chunks[-1].sequence_number
    watched.come(6)
    (live,) = await taken(watched.feed, 1, last + 1)

    assert [chunk.sequence_number for chunk in chunks] == [last - 2, last - 1, last]
    assert [(c.snapshot.index, c.snapshot.count) for c in chunks] == [(0, 3), (1, 3), (2, 3)]
    assert [one.WhichOneof("data") for one in chunks[0].events] == ["cleared", "stored", "stored"]
    assert [len(c.events) for c in chunks] == [3, 2, 1]
    assert {event.event_id for c in chunks for event in c.events} == {0}
    assert live.sequence_number == last + 1
    assert not live.HasField("snapshot")


async def test_what_a_worker_does_not_name_any_more_is_gone() -> None:
    """It has told everything anew, as after a lost connection."""
    watched = Watched()
    watched.come(3)
    (snapshot,) = await taken(watched.feed, 1)
    watched.tell_anew(0, 2)
    (batch,) = await taken(watched.feed, 1, snapshot.sequence_number + 1)

    assert [list(event.removed.block_hashes) for event in batch.events] == [[1]]


@pytest.mark.parametrize("start", [1, 999_999_999])
async def test_a_number_that_is_not_kept_leads_to_a_snapshot(
    monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    """One of long ago, or of another router."""
    watched = Watched()
    watched.come(3)
    (batch,) = await taken(watched.feed, 1, start)

    assert batch.HasField("snapshot")


async def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, and keeps nothing back."""
    monkeypatch.setattr(kv_events, "MOST_UNREAD", 4)
    watched = Watched()
    with watched.feed.subscribed("", 0) as slow, watched.feed.subscribed("", 0) as quick:
        batches = quick.batches()
        for count in range(1, 9):
            watched.come(count)
            await asyncio.wait_for(anext(batches), PATIENCE_S)

        assert len(slow._batches) == 0
        with pytest.raises(Overloaded, match="at most 4 batches unread"):
            await anext(slow.batches())


async def test_subscribers_of_one_tenant_leave_places_for_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They come free when somebody leaves."""
    monkeypatch.setattr(kv_events, "MOST_SUBSCRIBERS", 2)
    feed = Watched().feed
    with feed.subscribed("bob", 0), feed.subscribed("bob", 0):
        with pytest.raises(Overloaded, match="at most 2 .* at once, 2 of them are yours"):
            feed.subscribed("bob", 0).__enter__()
        with feed.subscribed("alice", 0):
            pass
    with feed.subscribed("bob", 0):
        pass
