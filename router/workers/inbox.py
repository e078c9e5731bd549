"""What a call hears while it runs: tokens, losses, and timers of its own, in one queue.

Who reads it takes everything that has come; who has nobody waiting for each token can be patient.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from raylax.proto.vocabulary import Delta


class WorkerOutput(NamedTuple):
    """What a worker has computed for one request. There is one for each token: a tuple costs the
    least."""

    worker: str
    delta: Delta


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker of this request is gone."""

    worker: str
    request_id: str
    why: str
    accused: bool = False
    """Whether it had begun there and had no token yet: it may be what the worker died of."""
    alone: bool = False
    """Whether nothing else may be: no other request, and not the network."""


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    """The worker of this request drains: it is to go on elsewhere."""

    worker: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RetryDue:
    """It is time to look for a worker for this request once more."""

    request_id: str


@dataclass(frozen=True, slots=True)
class HedgeDue:
    """This request should have had its first token by now."""

    request_id: str


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The call's time is over."""


Notice = WorkerLost | WorkerDraining | RetryDue | HedgeDue | DeadlineReached
"""What a call hears beside output; it never waits for more to come."""
InboxItem = WorkerOutput | Notice
MOST_UNREAD = 512
"""Items. A call with more is parked: its requests leave their workers until the client has read."""


class Inbox:
    """A queue for one reader. It takes whatever comes; `on_full` is called when it holds too much,
    once until it was empty. An asyncio.Queue costs several times as much for each token."""

    def __init__(self, on_full: Callable[[], None], most: int = MOST_UNREAD) -> None:
        self._items: list[InboxItem] = []
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._enough = 1
        self._on_full, self._most, self._is_overfull = on_full, most, False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: InboxItem) -> None:
        """Add an item, and wake the reader if it waits for no more. This runs for each token."""
        items = self._items
        items.append(item)
        waiter = self._waiter
        if (
            waiter is not None
            and not waiter.done()
            and (len(items) >= self._enough or urgent(item))
        ):
            waiter.set_result(None)
        if len(items) > self._most and not self._is_overfull:
            self._is_overfull = True
            self._on_full()

    async def take(self, enough: int = 1) -> list[InboxItem]:
        """Take everything that has come, once it is `enough` or one of it is urgent."""
        if not self._items or (len(self._items) < enough and not any(map(urgent, self._items))):
            self._is_overfull, self._enough = False, enough
            if self._loop is None:  # asked for once, for each time is a system call
                self._loop = asyncio.get_running_loop()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        items, self._items = self._items, []
        return items


def urgent(item: InboxItem) -> bool:
    """Whether an item is more than some tokens."""
    return not isinstance(item, WorkerOutput) or item.delta.finish is not None
