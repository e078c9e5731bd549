"""The process that an engine's threads are in. A fork copies everything of an engine but these: in
the child nobody would ever answer, and a lock may be held by a thread that is not there."""

import os

from raylax.worker.errors import EngineNotReady


class ProcessGuard:
    """Knows whether this is the process in which it was made. To be asked before any lock."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def here(self) -> bool:
        """False in a child that was forked."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Raises EngineNotReady in a child that was forked."""
        if not self.here:
            raise EngineNotReady(
                f"this engine belongs to process {self._pid}, and a fork of it, as process "
                f"{os.getpid()} is, has none of its threads: make an engine in the child, or start "
                'it by the method "spawn"'
            )
