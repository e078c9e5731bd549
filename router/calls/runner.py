"""A call from its requests to its last event, whatever happens on the way.

Every call ends exactly once (law 2): with its events, or with one RaylaxError. The requests of a
lost worker go on elsewhere, from the token after the last one emitted; the client sees one answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import DeadlineExceeded, RaylaxError
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.router.calls.dispatcher import Dispatcher
from raylax.router.calls.journal import JournalEntry
from raylax.router.calls.turn import Turn
from raylax.router.observe.timeline import Outcome, Timeline
from raylax.router.resume.answer_log import AnswerLog
from raylax.router.workers.inbox import (
    DeadlineReached,
    HedgeDue,
    Inbox,
    InboxItem,
    Notice,
    RetryDue,
    WorkerDraining,
    WorkerLost,
    WorkerOutput,
)

log = logging.getLogger(__name__)
COALESCE = 64
"""How many tokens of an answer come together, after the first, if nobody sees them before the end.
Those that a lost worker did not tell of are computed again."""


@dataclass(frozen=True, slots=True)
class CallTerms:
    """How a call is to be run."""

    allowed_s: float
    session: str = ""
    whole: bool = False
    """Whether only the end matters: nobody waits for each token then."""


EventsAndError = tuple[list[TextEvent], RaylaxError | None]
"""What the items of an inbox have come to: an error ends the call, after the events."""


class CallRunner:
    """Runs one call: it feeds the call with what comes from the workers, and sees to it that
    something comes."""

    def __init__(
        self,
        call: Call,
        timeline: Timeline,
        terms: CallTerms,
        dispatcher: Dispatcher,
        log: AnswerLog | None = None,
    ) -> None:
        """`log`: takes note of what is said, and has what another router has said before."""
        self._call, self._timeline, self._terms, self._log = call, timeline, terms, log
        self._dispatcher, self._find = dispatcher, dispatcher.journal.find
        self._inbox = Inbox(self._park)
        self._parked: deque[JournalEntry] = deque()
        self._come: deque[InboxItem] = deque()  # out of the inbox, and not looked at
        self._turn = Turn()
        self._begun = False  # every part of it

    async def events(self) -> AsyncGenerator[list[TextEvent]]:
        """The call's events, in one list those that came together, as far as there was time for
        them. Leaving the iteration early cancels what is still running."""
        loop, allowed_s = asyncio.get_running_loop(), self._terms.allowed_s
        deadline = loop.call_later(allowed_s, self._inbox.put, DeadlineReached())
        try:
            entries = self._entries(self._dispatcher.clock() + allowed_s)
            async for events in self._heard_before(entries):
                yield events
            await self._begin(entries)
            while not self._call.done:
                if not self._come:
                    self._come.extend(await self._next())
                    self._turn.begin()
                events, error = self._take()
                if events:
                    yield events
                if error is not None:
                    raise error
                await self._turn.rest()
            self._timeline.note("ended")
        finally:
            deadline.cancel()
            if not self._call.done:
                self._timeline.note("ended early")
            for request in self._call.requests:
                self._dispatcher.forget(request.id)

    def _entries(self, deadline: float) -> dict[str, JournalEntry]:
        """One for each request."""
        session, coalesce = self._terms.session, self._coalesce
        return {
            request.id: JournalEntry(
                request, self._inbox, self._timeline, deadline, session, coalesce
            )
            for request in self._call.requests
        }

    async def _heard_before(
        self, entries: dict[str, JournalEntry]
    ) -> AsyncGenerator[list[TextEvent]]:
        """The events of what another router has heard, before this one took the call over: together
        what came together then."""
        self._turn.begin()
        for deltas in self._log.said if self._log is not None else ():
            events = []
            for delta in deltas:
                entry = entries[delta.request_id]
                entry.record(delta)
                entry.moves = 1
                event, _ = self._call.feed(delta)
                if event is not None:
                    events.append(event)
            if events:
                yield events
            await self._turn.rest()

    async def _begin(self, entries: dict[str, JournalEntry]) -> None:
        self._turn.begin()
        for request_id in self._call.open:
            self._dispatcher.begin(entries[request_id])
            await self._turn.rest()

    async def _next(self) -> list[InboxItem]:
        self._turn.begin()
        while self._parked and len(self._inbox) == 0:  # the client has caught up
            entry = self._parked.popleft()
            if self._find(entry.request.id) is entry:
                self._dispatcher.place(entry)
            await self._turn.rest()
        return await self._inbox.take(1 if self._parked else self._enough)

    @property
    def _coalesce(self) -> int:
        """How many tokens a worker may send together. Where the text may end the answer it is one:
        the worker goes on until a stop string is seen."""
        return COALESCE if self._terms.whole and not self._call.may_stop else 1

    @property
    def _enough(self) -> int:
        if self._coalesce == 1:
            return 1
        if not self._begun:
            entries = map(self._find, self._call.open)
            self._begun = all(entry is not None and entry.emitted for entry in entries)
        return self._coalesce if self._begun else 1

    def _park(self) -> None:
        """Take the requests of a client that reads too slowly off their workers until it has caught
        up: what it has not read must not grow, and others need the pages."""
        self._timeline.note("parked", "the client reads slowly")
        for request in self._call.requests:
            entry = self._find(request.id)
            if entry is not None and not entry.parked:
                self._dispatcher.park(entry)
                self._parked.append(entry)

    def _take(self) -> EventsAndError:
        """Read what has come, while it is this call's turn. The events that came before an error
        go out before it."""
        events: list[TextEvent] = []
        try:
            while self._come and not self._turn.over:
                item = self._come.popleft()
                if isinstance(item, WorkerOutput):
                    if (event := self._hear(item)) is not None:
                        events.append(event)
                    if self._call.done:
                        break
                else:
                    self._act(item)
        except RaylaxError as error:
            return events, error
        finally:
            if self._log is not None:
                self._log.flush()  # before anybody sees what it comes to
        return events, None

    def _act(self, item: Notice) -> None:
        if isinstance(item, DeadlineReached):
            entries = map(self._find, self._call.open)
            waits = any(entry is not None and entry.looks_for_worker for entry in entries)
            raise DeadlineExceeded(
                f"the answer did not end within {self._terms.allowed_s:g} s, its deadline"
                + ("; no worker is ready" if waits else "")
            )
        entry = self._find(item.request_id)
        if entry is None or entry.parked:
            return
        match item:
            case WorkerLost():
                self._dispatcher.lost(entry, item)
            case WorkerDraining():
                self._dispatcher.draining(entry, item)
            case RetryDue() if not entry.workers:
                self._dispatcher.place(entry)
            case HedgeDue():
                self._dispatcher.hedge(entry)

    def _hear(self, output: WorkerOutput) -> TextEvent | None:
        """The event that a worker's output comes to, if any. This runs for each token."""
        worker, delta = output
        entry = self._find(delta.request_id)
        if entry is None or worker not in (entry.workers or entry.parked):
            return None  # it was moved, or another worker was first
        if delta.finish is not None:
            if self._goes_on(entry, worker, delta):
                return None
            delta = told_outside(delta, worker)
        entry.tries = 0
        if delta.began:
            self._timeline.began(delta.request_id, worker)
            return None
        if len(entry.workers) > 1:
            self._dispatcher.settle(entry, worker)
        if entry.unheard and delta.token_ids:
            entry.unheard = False
            self._timeline.first_token(worker, delta)
        if entry.moves:  # what was cached for the second start says nothing about the first
            delta = delta._replace(cached_tokens=0)
        if delta.token_ids and not entry.emitted:
            self._timeline.note("first token", worker)
            self._dispatcher.answered(entry)
        entry.record(delta)
        if self._log is not None:
            self._log.add(delta)
        event, cancel = self._call.feed(delta)
        if cancel or delta.finish is not None:
            self._timeline.computed(worker, delta)
            known = entry.known_tokens
            self._timeline.left(delta.request_id, worker, Outcome.ENDED, known_tokens=known)
            self._dispatcher.workers.succeeded(worker)
            self._dispatcher.forget(delta.request_id)
        return event

    def _goes_on(self, entry: JournalEntry, worker: str, delta: Delta) -> bool:
        """Whether a request goes on elsewhere: this was no end of its answer."""
        early = delta.finish is Finish.ABORT or (delta.error and not delta.fault.is_final)
        return bool(early) and self._dispatcher.given_up(entry, worker, delta)


def told_outside(delta: Delta, worker: str) -> Delta:
    """The end of a request as its client is told of it: what went wrong inside of a worker, with
    processes and addresses, is for the log."""
    if delta.error is None or delta.fault not in (Fault.ENGINE, Fault.UNAVAILABLE):
        return delta
    log.error("%s has failed on %s: %s", delta.request_id, worker, delta.error)
    return delta._replace(error="the engine failed; the logs of router and worker say why")
