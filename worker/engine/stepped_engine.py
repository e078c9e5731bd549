"""The engine without threads: whoever calls it runs it, a step at a time."""

import time
from collections.abc import Callable
from typing import Any

from raylax.worker.engine.commands import CommandQueue
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import EngineNotReady
from raylax.worker.grammars.making import MatcherMakerAtOnce


class OwnCommands(CommandQueue):
    """Commands of the thread that carries them out."""

    def call(self, work: Callable[[], Any], timeout: float | None) -> Any:
        """Do `work` now, after what was asked for before. Raises EngineNotReady after the close,
        and in a forked child."""
        self._process.check()
        if self.closed:
            raise EngineNotReady("the engine has been terminated")
        self.carry_out(0.0)
        return work()


class SteppedEngine(ThreadedEngine):
    """All that the engine with threads can do, by one thread, that of its caller. Callbacks run in
    `step`, and in the calls that bring something about."""

    grammars = MatcherMakerAtOnce

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock, commands=OwnCommands)
        self._ended = False

    def step(self) -> None:
        """One step for who has something to compute. Raises EngineNotReady when the engine has
        ended, with the reason, and what a callback raises."""
        if self._ended:
            raise EngineNotReady(self._status.broken or "the engine has been terminated")
        self._ended = not self._loop.turn(0.0)
        self._outputs.drain()
        if self._ended and (why := self._status.broken) is not None:
            raise EngineNotReady(why)

    def finish(self) -> None:
        """End every request, and the engine. Calling it again does nothing."""
        if not self._ended and self.process.here:
            self.exit_background_loop()
            self.step()
