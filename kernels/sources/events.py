"""What a process that fetches says, a line of JSON each; and what whoever waits for it shows."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of a download."""

    note: Callable[[str], None]
    """A line that stays: what is fetched, its size and licence."""
    step: Callable[[str, float | None], None]
    """What is done now, and the fraction of it that is, if that is known."""


def nobody() -> Audience:
    return Audience(lambda text: None, lambda text, fraction: None)


class Events:
    """Several threads write."""

    def __init__(self, out: TextIO, told: Callable[[], None] = lambda: None) -> None:
        """`told`: called whenever something was said."""
        self._out, self._told, self._lock = out, told, threading.Lock()

    def note(self, text: str) -> None:
        self._write({"note": text})

    def bytes(self, what: str, done: int, total: int) -> None:
        """So much of it is there."""
        self._write({"bytes": [what, done, total]})

    def done(self, path: str) -> None:
        """Where it lies. The last word, as is an error."""
        self._write({"done": path})

    def error(self, text: str) -> None:
        """A mistake that the user can mend."""
        self._write({"error": text})

    def _write(self, event: dict[str, Any]) -> None:
        with self._lock:
            print(json.dumps(event), file=self._out, flush=True)
            self._told()
