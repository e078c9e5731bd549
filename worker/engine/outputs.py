"""What the engine thread has to say, in order; the stream-back thread hands it on."""

import logging
import queue
from collections.abc import Callable
from contextlib import suppress

from raylax.proto.vocabulary import Delta, Load
from raylax.worker.kv.page_pool import PageChanges

log = logging.getLogger(__name__)
StepCallback = Callable[[list[Delta], Load], None]
PagesCallback = Callable[[PageChanges], None]


class OutputQueue:
    """Calls of the listeners, put by the engine thread and made by the stream-back thread. A
    listener that fails loses that call only."""

    def __init__(self) -> None:
        self.on_step: StepCallback = lambda deltas, load: None
        self.on_pages: PagesCallback | None = None
        """Nobody wants to hear of pages while it is None."""
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def step(self, deltas: list[Delta], load: Load) -> None:
        """Put what a step, or a command, came to."""
        self._queue.put(lambda: self.on_step(deltas, load))

    def pages(self, changes: PageChanges) -> None:
        """Put which pages can be found now."""
        if (hear := self.on_pages) is not None:
            self._queue.put(lambda: hear(changes))

    def close(self) -> None:
        """Put the end: nothing comes after it."""
        self._queue.put(None)

    def drain(self) -> None:
        """Call the listeners for what is there, on this thread. Raises what they raise."""
        with suppress(queue.Empty):
            while (tell := self._queue.get_nowait()) is not None:
                tell()

    def run(self) -> None:
        """Call the listeners until the queue is closed and empty."""
        while (tell := self._queue.get()) is not None:
            try:
                tell()
            except Exception:
                log.exception("the stream callback failed; its deltas are lost")
