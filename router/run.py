"""A call from its requests to its last event, whatever happens on the way.

Every call ends exactly once (law 2): with its events, or with one RaylaxError. The requests of a
lost worker go on elsewhere, from the token after the last one emitted; the client sees one answer.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from raylax.proto.call import Call
from raylax.proto.errors import DeadlineExceeded, RaylaxError
from raylax.proto.events import TextEvent
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.router.dispatcher import Dispatcher
from raylax.router.inbox import Again, Hedge, Inbox, Item, Late, Leave, Lost, Said
from raylax.router.journal import Entry
from raylax.router.story import Outcome, Story

PATIENCE = 64
"""Tokens of an answer that nobody sees before its end are taken up by so many, after the first."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed on for a call."""

    allowed_s: float
    session: str = ""
    whole: bool = False
    """Only the end matters: nobody waits for each token."""


@dataclass(slots=True)
class Heard:
    """What came of the items of an inbox."""

    events: list[TextEvent] = field(default_factory=list)
    error: RaylaxError | None = None
    """It ends the call, after the events."""


class Run:
    """Feeds a call with what comes from the workers, and sees to it that something comes."""

    def __init__(self, call: Call, story: Story, terms: Terms, dispatcher: Dispatcher) -> None:
        self._call, self._story, self._terms = call, story, terms
        self._dispatcher = dispatcher
        self._inbox = Inbox(self._park)
        self._parked: list[Entry] = []

    async def events(self) -> AsyncGenerator[list[TextEvent]]:
        """The call's events, in one list those that came together. Leaving the iteration early
        cancels what is still running."""
        loop, allowed_s = asyncio.get_running_loop(), self._terms.allowed_s
        deadline = loop.call_later(allowed_s, self._inbox.put, Late())
        try:
            self._begin(self._dispatcher.clock() + allowed_s)
            while not self._call.done:
                heard = Heard()
                self._take_all(await self._next(), heard)
                if heard.events:
                    yield heard.events
                if heard.error is not None:
                    raise heard.error
            self._story.note("ended")
        finally:
            deadline.cancel()
            if not self._call.done:
                self._story.note("ended early")
            for request in self._call.requests:
                self._dispatcher.forget(request.id)

    def _begin(self, deadline: float) -> None:
        for request in self._call.requests:
            entry = Entry(request, self._inbox, self._story, deadline, self._terms.session)
            self._dispatcher.begin(entry)

    async def _next(self) -> list[Item]:
        if self._parked and len(self._inbox) == 0:  # the client has caught up
            parked, self._parked = self._parked, []
            for entry in parked:
                if self._dispatcher.journal.find(entry.request.id) is entry:
                    self._dispatcher.place(entry)
        return await self._inbox.take(self._enough)

    @property
    def _enough(self) -> int:
        """A stop string must be seen at once: the worker goes on until it is."""
        if not self._terms.whole or self._call.may_stop:
            return 1
        journal = self._dispatcher.journal
        entries = (journal.find(id) for id in self._call.open)
        begun = all(entry is not None and entry.emitted for entry in entries)
        return PATIENCE if begun else 1

    def _park(self) -> None:
        """The client reads too slowly. Its requests leave their workers until it has caught up:
        what it has not read must not grow, and others need the pages."""
        self._story.note("parked", "the client reads slowly")
        journal = self._dispatcher.journal
        entries = [journal.find(request.id) for request in self._call.requests]
        for entry in entries:
            if entry is not None and not entry.parked:
                self._dispatcher.park(entry)
                self._parked.append(entry)

    def _take_all(self, items: list[Item], heard: Heard) -> None:
        """Also after an error: what was said before it is said."""
        try:
            for item in items:
                if (event := self._take(item)) is not None:
                    heard.events.append(event)
                if self._call.done:
                    return
        except RaylaxError as error:
            heard.error = error

    def _take(self, item: Item) -> TextEvent | None:
        if isinstance(item, Late):
            raise DeadlineExceeded(
                f"the answer did not end within {self._terms.allowed_s:g} s, its deadline"
            )
        if isinstance(item, Said):
            entry = self._dispatcher.journal.find(item.delta.request_id)
            return self._hear(entry, item) if entry is not None else None
        entry = self._dispatcher.journal.find(item.request_id)
        if entry is None or entry.parked:
            return None
        match item:
            case Lost():
                self._dispatcher.lost(entry, item)
            case Leave():
                self._dispatcher.leave(entry, item)
            case Again() if not entry.workers:
                self._dispatcher.place(entry)
            case Hedge():
                self._dispatcher.hedge(entry)
        return None

    def _hear(self, entry: Entry, said: Said) -> TextEvent | None:
        delta, dispatcher = said.delta, self._dispatcher
        if said.worker not in (entry.workers or entry.parked):
            return None  # it was moved, or another worker was first
        early = delta.finish is Finish.ABORT or (delta.error and delta.fault is not Fault.DEADLINE)
        if early and dispatcher.given_up(entry, said.worker, delta):
            return None
        if len(entry.workers) > 1 and not delta.began:
            dispatcher.settle(entry, said.worker)
        return self._feed(entry, said.worker, delta)

    def _feed(self, entry: Entry, worker: str, delta: Delta) -> TextEvent | None:
        entry.tries = 0
        if delta.began:
            self._story.note("began", worker)
            return None
        if entry.moves:  # what was cached for the second start says nothing about the first
            delta = delta._replace(cached_tokens=0)
        if delta.token_ids and not entry.emitted:
            self._story.note("first token", worker)
            self._dispatcher.answered(entry)
        entry.record(delta)
        fed = self._call.feed(delta)
        if fed.cancel or delta.finish is not None:
            self._story.left(delta.request_id, worker, Outcome.ENDED)
            self._dispatcher.workers.succeeded(worker)
            self._dispatcher.forget(delta.request_id)
        return fed.event
