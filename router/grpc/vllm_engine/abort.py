"""Requests by the names that gateways give them, so that these can be aborted."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import InvalidRequest, shown


class Aborted(Exception):
    """Its gateway wants no more of the request."""


class AbortHandle:
    """Ends the wait for news of one request. Writes go on: a broken one would break the call."""

    def __init__(self) -> None:
        self._asked = False
        self._wait: asyncio.Timeout | None = None

    def ask(self) -> None:
        self._asked = True
        if self._wait is not None:
            self._wait.reschedule(0)

    async def next(self, events: AsyncGenerator[list[TextEvent]]) -> list[TextEvent] | None:
        """None at the end; raises Aborted."""
        if self._asked:
            raise Aborted
        try:
            async with asyncio.timeout(None) as self._wait:
                return await anext(events, None)
        except TimeoutError:
            if self._asked:
                raise Aborted from None
            raise
        finally:
            self._wait = None


class RunningRequests:
    """What this router answers now. A request without a name ends only with its call."""

    def __init__(self) -> None:
        self._named: dict[str, AbortHandle] = {}

    @contextmanager
    def named(self, name: str) -> Iterator[AbortHandle]:
        if name in self._named:
            raise InvalidRequest(f"request_id: {shown(name)} is running", param="request_id")
        abort = AbortHandle()
        if name:
            self._named[name] = abort
        try:
            yield abort
        finally:
            self._named.pop(name, None)

    def abort(self, name: str) -> None:
        """One that does not run is no mistake: it may just have ended."""
        if (abort := self._named.get(name)) is not None:
            abort.ask()
