"""Requests by the names that gateways give them, so that these can be aborted."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import InvalidRequest, shown


class Aborted(Exception):
    """The gateway wants no more of the request."""


class AbortHandle:
    """Ends the wait for the events of one request. A write is not broken off: that would break the
    call."""

    def __init__(self) -> None:
        self._asked = False
        self._wait: asyncio.Timeout | None = None

    def ask(self) -> None:
        self._asked = True
        if self._wait is not None:
            self._wait.reschedule(0)

    async def next(self, events: AsyncGenerator[list[TextEvent]]) -> list[TextEvent] | None:
        """The next events; None at the end. Raises Aborted."""
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
    """The requests that this router answers now, by tenant and name: a name is its tenant's own,
    and says nothing to others. One without a name cannot be aborted."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, str], AbortHandle] = {}

    @contextmanager
    def named(self, tenant: str, name: str) -> Iterator[AbortHandle]:
        """The tenant's request runs, under this name, as long as the block does. Raises
        InvalidRequest for a name that it has already given to another one."""
        if (tenant, name) in self._named:
            raise InvalidRequest(f"request_id: {shown(name)} is running", param="request_id")
        abort = AbortHandle()
        if name:
            self._named[tenant, name] = abort
        try:
            yield abort
        finally:
            self._named.pop((tenant, name), None)

    def abort(self, tenant: str, name: str) -> None:
        """Aborts the tenant's request of this name. One that does not run is no mistake: it may
        just have ended."""
        if (abort := self._named.get((tenant, name))) is not None:
            abort.ask()
