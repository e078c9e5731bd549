"""Notices when a client leaves while its answer is made."""

import asyncio
from types import TracebackType

from starlette.types import Receive


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class DisconnectWatch:
    """A block that ends with ClientLeft when its client disconnects, as one of `asyncio.timeout`
    ends when its time is over. The body has been read: inside, nothing else may receive."""

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
