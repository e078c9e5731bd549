"""Changes of the blocks that workers have, numbered, for the gateways that subscribe to them.

A subscriber without a number, or with one that is not kept any more, is first given a snapshot.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count

from raylax.proto.errors import Overloaded
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.pb import common_pb2 as pb
from raylax.proto.pb import engine_pb2
from raylax.proto.shares import ShareOf, Shares, equal
from raylax.router.fleet.prefix_index import PrefixIndex
from raylax.router.grpc.vllm_engine.kv_blocks import AnnouncedBlocks, Block, BlockChanges

KEPT = 1024
"""How many batches are kept for those who come back."""
MOST_UNREAD = 2 * KEPT
"""How many batches one subscriber may leave unread; then it is cut off."""
MOST_SUBSCRIBERS = 64
"""How many may subscribe at once: each is told everything. Each tenant has a part."""
CHUNK_BLOCKS = 512
"""How many blocks of a snapshot are in one message."""
THE_RANK = 0
RETRY_AFTER_S = 1.0


class Subscriber:
    """What one subscriber has not read yet. Nobody waits for it to read."""

    def __init__(self) -> None:
        self._batches: deque[pb.KvEventBatch] = deque()
        self._come = asyncio.Event()
        self._cut_off = False

    def put(self, batch: pb.KvEventBatch) -> None:
        if len(self._batches) >= MOST_UNREAD:
            self._cut_off = True
            self._batches.clear()
        if not self._cut_off:
            self._batches.append(batch)
        self._come.set()

    async def batches(self) -> AsyncGenerator[pb.KvEventBatch]:
        """The batches as they come. Raises Overloaded when too many were left unread."""
        while True:
            await self._come.wait()
            self._come.clear()
            while self._batches:
                yield self._batches.popleft()
            if self._cut_off:
                raise Overloaded(f"a subscriber may leave at most {MOST_UNREAD} batches unread")


class KvEventFeed:
    """Numbers the changes of a cluster's blocks, and tells all subscribers. It watches the workers
    from its making on."""

    def __init__(
        self, prefixes: PrefixIndex, now: Callable[[], float], share_of: ShareOf = equal
    ) -> None:
        """`now`: the time of day. Numbers begin with it, so that those of an earlier router's feed
        are none of this one's, and that there are some before for the chunks of snapshots."""
        self._now, self._blocks = now, AnnouncedBlocks(prefixes.is_reported)
        self._first = self._number = round(now() * 1000)
        self._event_ids = count(1)
        self._kept: deque[pb.KvEventBatch] = deque(maxlen=KEPT)
        self._subscribers: set[Subscriber] = set()
        self._places = Shares(MOST_SUBSCRIBERS, share_of)

    @contextmanager
    def subscribed(self, tenant: str, start: int) -> Iterator[Subscriber]:
        """A subscriber from the batch of this number on; 0: from a snapshot on. Raises
        Overloaded."""
        if not self._places.take(tenant, 1):
            raise Overloaded(
                f"at most {self._places.total} may subscribe at once, "
                f"{self._places.held(tenant)} of them are yours and there is room for none more",
                retry_after_s=RETRY_AFTER_S,
            )
        try:
            with self._told(start) as subscriber:
                yield subscriber
        finally:
            self._places.give_back(tenant, 1)

    @contextmanager
    def _told(self, start: int) -> Iterator[Subscriber]:
        subscriber = Subscriber()
        begin = self._since(start) if self._keeps(start) else self._snapshot()
        for batch in begin:
            subscriber.put(batch)
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    # What happens

    def routed(self, tokens: tuple[int, ...], names: list[int]) -> None:
        self._tell(self._blocks.routed(tokens, names))

    def reported(self, pages: engine_pb2.PageEvents) -> None:
        self._tell(self._blocks.reported(pages.added, pages.removed))
        if pages.snapshot:
            self._tell(self._blocks.rechecked())

    def lost(self) -> None:
        self._tell(self._blocks.rechecked())

    def _tell(self, changes: BlockChanges) -> None:
        if not changes:
            return
        self._number += 1
        batch = self._batch(self._number, events_of(changes))
        for event in batch.events:
            event.event_id = next(self._event_ids)
        self._kept.append(batch)
        for subscriber in self._subscribers:
            subscriber.put(batch)

    def _batch(self, number: int, events: Iterable[pb.KvCacheEvent]) -> pb.KvEventBatch:
        return pb.KvEventBatch(
            sequence_number=number, timestamp=self._now(), events=events, dp_rank=THE_RANK
        )

    def _keeps(self, start: int) -> bool:
        oldest = self._kept[0].sequence_number if self._kept else self._number + 1
        return oldest <= start <= self._number + 1

    def _since(self, start: int) -> list[pb.KvEventBatch]:
        return [batch for batch in self._kept if batch.sequence_number >= start]

    def _snapshot(self) -> list[pb.KvEventBatch]:
        blocks = list(self._blocks)
        begins = range(0, max(len(blocks), 1), CHUNK_BLOCKS)
        chunks = []
        for index, begin in enumerate(begins):
            events = [] if index else [pb.KvCacheEvent(cleared=pb.KvCacheCleared())]
            events += stored_events(blocks[begin : begin + CHUNK_BLOCKS])
            chunk = self._batch(self._number - len(begins) + 1 + index, events)
            chunk.snapshot.index, chunk.snapshot.count = index, len(begins)
            chunk.snapshot.blocks, chunk.snapshot.unknown_before = len(blocks), self._first
            chunks.append(chunk)
        return chunks


def events_of(changes: BlockChanges) -> list[pb.KvCacheEvent]:
    events = stored_events(changes.stored)
    if changes.removed:
        hashes = [hash_of(name) for name in changes.removed]
        events.append(pb.KvCacheEvent(removed=pb.KvBlocksRemoved(block_hashes=hashes)))
    return events


def stored_events(blocks: Iterable[Block]) -> list[pb.KvCacheEvent]:
    """An event for each chain of blocks that follow each other."""
    events: list[pb.KvCacheEvent] = []
    last: int | None = None
    for block in blocks:
        if not events or block.parent is None or block.parent != last:
            parent = None if block.parent is None else hash_of(block.parent)
            events.append(pb.KvCacheEvent(stored=pb.KvBlocksStored(parent_block_hash=parent)))
        events[-1].stored.blocks.add(
            block_hash=hash_of(block.name), token_ids=block.tokens, block_size=PAGE_SIZE
        )
        last = block.name
    return events


def hash_of(name: int) -> int:
    """A page's name as a signed number, as the protocol has them."""
    return name - (1 << 64) if name >> 63 else name
