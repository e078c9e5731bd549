"""Requests on their way: enough to continue each one elsewhere.

Prompt, parameters and the tokens emitted so far determine the rest of an answer (law 1). What
parsers and grammars know follows from the emitted tokens, too, so that nothing else is kept.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Literal, NamedTuple

from raylax.proto.vocabulary import Delta, Request
from raylax.proto.wire.messages import Resumption
from raylax.router.observe.timeline import Timeline
from raylax.router.workers.inbox import Inbox, WorkerLost

MOST_STRIKES = 5
"""Losses by chance come in rows, too: what ends one worker often ends the next."""


@dataclass(eq=False)
class JournalEntry:
    """A request on its way, and where it stands."""

    request: Request
    inbox: Inbox
    timeline: Timeline
    deadline: float
    """When its time is over, on the router's clock."""
    session: str = ""
    coalesce: int = 1
    """How many tokens may come together: more than one where nobody waits for each of them."""
    workers: list[str] = field(default_factory=list)
    """The workers where it runs: one; two while it is hedged; none while it waits for one."""
    parked: tuple[str, ...] = ()
    """The workers where it ran until its client read too slowly: what they said by then is still
    to be read."""
    sent_at: float = 0.0
    predicted_s: float = 0.0
    """Seconds to its first token, as they were expected when it was sent."""
    failed_on: set[str] = field(default_factory=set)
    """Workers that failed it: others come first."""
    emitted: list[int] = field(default_factory=list)
    unheard: bool = True
    """No token has come since it was sent last."""
    moves: int = 0
    strikes: int = 0
    tries: int = 0
    """Attempts in vain to find a worker, since it last had one."""
    waits_since: float = 0.0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def known_tokens(self) -> int:
        """Of its prompt and of its answer so far."""
        return len(self.request.prompt) + len(self.emitted)

    @property
    def looks_for_worker(self) -> bool:
        """Whether it waits for one to come."""
        return bool(self.tries) and not self.workers

    @property
    def phase(self) -> Literal["waits", "queued", "prefill", "decode"]:
        """How far it has come."""
        if not self.workers:
            return "waits"
        if self.emitted:
            return "decode"
        return "prefill" if self.timeline.has_begun(self.request.id) else "queued"

    def resumption(self, now: float, pages_at: str = "") -> Resumption:
        """How another worker goes on after the last emitted token."""
        return Resumption(tuple(self.emitted), max(0.001, self.deadline - now), pages_at)

    def record(self, delta: Delta) -> None:
        """Take note of an answer's next tokens. They prove that the request is not what a worker
        dies of, at least up to here."""
        if delta.token_ids:
            self.emitted += delta.token_ids
            self.strikes = 0

    def blame(self, lost: WorkerLost) -> bool:
        """Count the loss of its worker; True when it is taken for the reason.

        A worker dies of the request in its step, at the same token every time. So who was there
        without a new token is a suspect, once; who was the only suspect twice, or one of several
        five times, is not sent to a further worker.
        """
        if lost.accused:
            self.strikes += 1
        elif self.emitted:
            self.strikes = max(1, self.strikes)  # it may have been the next token
        return self.strikes >= (2 if lost.alone else MOST_STRIKES)

    def stop_timers(self) -> None:
        """Cancel the timers that the request waits for."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Unbegun(NamedTuple):
    """Prompts whose answers have not begun, by tenant."""

    tokens: Counter[str]
    shares: dict[str, float]


class Journal:
    """Entries by request id, from submission to the end."""

    def __init__(self) -> None:
        self._entries: dict[str, JournalEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, entry: JournalEntry) -> None:
        """Keep an entry from now on."""
        self._entries[entry.request.id] = entry

    def count(self, tenant: str) -> int:
        """How many requests are a tenant's."""
        return sum(entry.request.tenant == tenant for entry in self._entries.values())

    def unbegun(self) -> Unbegun:
        """Of those whose answers have no token yet, how much each tenant has."""
        found = Unbegun(Counter(), {})
        for entry in self._entries.values():
            if not entry.emitted:
                request = entry.request
                found.tokens[request.tenant] += len(request.prompt)
                found.shares[request.tenant] = request.share
        return found

    def oldest(self, most: int) -> list[JournalEntry]:
        """The entries of the calls that came first, in order."""
        return nsmallest(most, self._entries.values(), key=lambda entry: entry.timeline.arrived)

    @property
    def entries(self) -> Iterable[JournalEntry]:
        """All of them, in the order in which they were submitted."""
        return self._entries.values()

    def without_worker(self) -> list[JournalEntry]:
        """Those that look for one."""
        return [entry for entry in self._entries.values() if entry.looks_for_worker]

    def find(self, request_id: str) -> JournalEntry | None:
        """The entry of a request; None if it has ended."""
        return self._entries.get(request_id)

    def end(self, request_id: str) -> JournalEntry | None:
        """Drop the entry of a request and return it; None if it has ended before."""
        return self._entries.pop(request_id, None)
