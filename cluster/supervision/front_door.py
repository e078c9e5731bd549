"""Asks through the front door whether anybody serves, again and again, in a thread of its own.

The question has an entrance to itself, a socket in the run's directory: what fills the one for
clients is not to look like a death (`ray_patches/front_door.py` opens it).
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

ASK_EVERY_S = 0.5
TIMEOUT_S = 5.0
"""For one answer: a machine may be busy."""
PATH = "/health"
MOST_BYTES = 1 << 20
Answer = Literal["serves", "no worker", "silence"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What has been answered so far, by times of the clock that was used."""

    silent_since: float | None = None
    """When the first question was asked of those that nobody has answered; None: the last one was
    answered."""
    idle_since: float | None = None
    """When it was first answered that no worker is ready; None: one is."""

    def after(self, answer: Answer, asked: float) -> "Answers":
        """With one answer more, to a question of then."""
        match answer:
            case "serves":
                return Answers()
            case "no worker":
                return Answers(None, asked if self.idle_since is None else self.idle_since)
            case "silence":
                since = asked if self.silent_since is None else self.silent_since
                return replace(self, silent_since=since)


class FrontDoor:
    """Asks until it is closed."""

    def __init__(self, entrance: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._entrance, self._clock = entrance, clock
        self._closed = threading.Event()
        self.answers = Answers()
        """Written by the thread, read by anybody."""
        self._thread = threading.Thread(target=self._keep_asking, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more questions. Does not wait for the last answer."""
        self._closed.set()

    def _keep_asking(self) -> None:
        while not self._closed.wait(ASK_EVERY_S):
            asked = self._clock()
            self.answers = self.answers.after(ask(self._entrance), asked)


def ask(entrance: Path, timeout_s: float = TIMEOUT_S) -> Answer:
    """One question: what a router says, through HAProxy."""
    with closing(UnixConnection(entrance, timeout_s)) as connection:
        try:
            connection.request("GET", PATH)
            reply = connection.getresponse()
            status, said = reply.status, json.loads(reply.read(MOST_BYTES))
        except (OSError, http.client.HTTPException, ValueError):
            return "silence"
    if not isinstance(said, dict) or "workers" not in said:
        return "silence"  # HAProxy itself says that there is no router
    return "serves" if status == 200 else "no worker"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
