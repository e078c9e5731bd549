"""Notices when a client leaves while its answer is made."""

import asyncio
from types import TracebackType

from starlette.types import Receive


class ClientLeft(Exception):
    """The client has disconnected: nobody waits for the answer any more."""


class DisconnectWatch:
    """Ends a block with ClientLeft when its client disconnects, as `asyncio.timeout` ends one when
    its time is over.

    It receives what the client sends, so the body must have been read before.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive, self._left = receive, False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelled_before = task, task.cancelling()
        self._watching = asyncio.create_task(self._watch())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watching.cancel()
        left = self._left and self._task.uncancel() <= self._cancelled_before
        if left and kind is asyncio.CancelledError:
            raise ClientLeft from error

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._task.cancel()
