"""A call from its requests to its last event, whatever happens on the way. HTTP and gRPC use this.

Every call ends exactly once (law 2): with its events, or with one RaylaxError. A lost worker's
requests go on elsewhere once, from the token after the last one emitted; the client sees one
answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from raylax.proto.call import Call
from raylax.proto.errors import (
    DeadlineExceeded,
    ModelNotFound,
    Overloaded,
    WorkerUnavailable,
    shown,
)
from raylax.proto.events import TextEvent
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.router.aside import Aside
from raylax.router.config import RouterConfig
from raylax.router.journal import Entry, Journal
from raylax.router.links import Inbox, Late, Lost
from raylax.router.measure import Meter
from raylax.router.workers import RETRY_AFTER_S, Workers

MOST_MOVES = 1
Prepared = TypeVar("Prepared")


class Service:
    """One model, its frontend and its workers."""

    def __init__(self, config: RouterConfig, frontend: Frontend, workers: Workers) -> None:
        self.config, self.frontend, self.workers = config, frontend, workers
        self.journal, self.meter = Journal(), Meter(config.model_name)
        self._aside = Aside()

    async def prepare(self, size: int, work: Callable[[], Prepared]) -> Prepared:
        """The result of `work`, which makes a call of a request of `size` bytes."""
        self._check_room(1)
        return await self._aside.run(size, work)

    def chat(self, body: ChatCompletionRequest) -> Call:
        self._check_model(body.model)
        return self.frontend.chat(body)

    def completion(self, body: CompletionRequest) -> Call:
        self._check_model(body.model)
        return self.frontend.completion(body)

    def _check_model(self, name: str | None) -> None:
        if name and name != self.config.model_name:
            raise ModelNotFound(
                f"no model named {shown(name)}; there is {self.config.model_name}", param="model"
            )

    def _check_room(self, more: int) -> None:
        if len(self.journal) + more > self.config.max_inflight:
            raise Overloaded(
                f"this router carries at most {self.config.max_inflight} requests at once, it has "
                f"{len(self.journal)} and {more} more were asked for",
                retry_after_s=RETRY_AFTER_S,
            )

    def allowed_s(self, timeout_s: float | None) -> float:
        """How long a call may take: as long as its client wants, within this router's limit."""
        longest = self.config.request_timeout_s
        return longest if timeout_s is None else min(timeout_s, longest)

    async def run(self, call: Call, timeout_s: float | None = None) -> AsyncGenerator[TextEvent]:
        """The call's events. Leaving the iteration early cancels what is still running."""
        self._check_room(len(call.requests))
        inbox: Inbox = asyncio.Queue()
        allowed_s = self.allowed_s(timeout_s)
        deadline = asyncio.get_running_loop().call_later(allowed_s, inbox.put_nowait, Late())
        measured = self.meter.begin()
        try:
            for request in call.requests:
                worker = self.workers.route(request).worker
                self.journal.begin(request, worker)
                self.workers.submit(worker, request, inbox)
            while not call.done:
                event = self._take(call, await inbox.get(), inbox)
                if event is not None:
                    measured.event(event)
                    yield event
        finally:
            deadline.cancel()
            self._leave(call)
            measured.end(call)

    def _take(self, call: Call, item: Delta | Lost | Late, inbox: Inbox) -> TextEvent | None:
        if isinstance(item, Late):
            raise DeadlineExceeded("the answer did not end before its deadline")
        entry = self.journal.find(item.request_id)
        if entry is None:
            return None  # it has ended for us; the worker did not know yet
        if isinstance(item, Lost):
            self._move(entry, item.why, inbox)
            return None
        if item.finish is Finish.ABORT or item.fault is Fault.UNAVAILABLE:  # not our doing
            self._move(entry, item.error or "it ended its requests", inbox)
            return None
        self.journal.record(item)
        if item.token_ids:
            self.workers.ledger.answered(entry.worker, item.request_id)
        fed = call.feed(item)
        if fed.cancel or item.finish is not None:
            self._forget(item.request_id)
        return fed.event

    def _move(self, entry: Entry, why: str, inbox: Inbox) -> None:
        """To another worker, if there is one and it is the first time."""
        if entry.moves >= MOST_MOVES or not self.workers.ready:
            raise WorkerUnavailable(
                f"the worker of this request is gone: {why}", retry_after_s=RETRY_AFTER_S
            )
        request = entry.resumed()
        worker = self.workers.route(request).worker
        self.journal.moved(request.id, worker)
        self.workers.submit(worker, request, inbox)

    def _forget(self, request_id: str) -> None:
        if (entry := self.journal.end(request_id)) is not None:
            self.workers.cancel(entry.worker, request_id)

    def _leave(self, call: Call) -> None:
        for request in call.requests:
            self._forget(request.id)
