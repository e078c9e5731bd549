"""The door of a cluster's first machine: who has the secret is heard, and told what is needed.

One thread accepts, one listens to each machine that has come. TLS keeps all others out, before a
word of theirs is read. A machine that has joined leaves when its connection does.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from pydantic import ValidationError

from raylax.cluster.config.machines import Place
from raylax.cluster.membership.lines import Lines, keep_asking
from raylax.cluster.membership.said import Hello, Joined, Welcome
from raylax.proto.wire.cluster_tls import context_of

GREETING_S = 10.0
"""Within which a machine says who it is."""
MOST_UNKNOWN = 32
"""Connections that have not yet said so."""


class Door:
    """Open from the moment at which it is made, until the process ends or `close`."""

    def __init__(
        self,
        place: Place,
        secret: str,
        welcome: Callable[[], Welcome],
        note: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`welcome`: what machines are told now, but for the time, which `clock` gives. `note`:
        tells people who came and went; called by several threads. Raises OSError where the place
        is taken."""
        self._context = context_of(secret, accepts=True)
        self._welcome, self._note, self._clock = welcome, note, clock
        self._unknown = threading.BoundedSemaphore(MOST_UNKNOWN)
        self._listener = socket.create_server(place, backlog=MOST_UNKNOWN)
        self.place = Place(*self._listener.getsockname()[:2])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody else comes in; who is there stays."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if not self._unknown.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, plain: socket.socket) -> None:
        if (greeted := self._greet(plain)) is None:
            return
        hello, lines = greeted
        try:
            joined = Joined.model_validate_json(lines.read())
            gpus = f" and {joined.gpus} GPUs" if joined.gpus else ""
            self._note(f"{hello.address} has joined, with {joined.cpus} cores{gpus}")
            with suppress(OSError):
                lines.read()  # until it leaves
            self._note(f"{hello.address} has left")
        except (OSError, ValidationError):
            pass
        finally:
            lines.close()

    def _greet(self, plain: socket.socket) -> tuple[Hello, Lines] | None:
        """Who it is, once it has been told all; nothing for who is nobody."""
        with ExitStack() as until_it_is_over:
            until_it_is_over.callback(self._unknown.release)
            until_it_is_over.enter_context(plain)
            plain.settimeout(GREETING_S)
            try:
                secured = self._context.wrap_socket(plain, server_side=True)
                lines = Lines(until_it_is_over.enter_context(secured))
                hello = Hello.model_validate_json(lines.read())
                now = self._welcome().model_copy(update={"time_s": self._clock()})
                lines.write(now.model_dump_json())
            except (OSError, ValidationError):
                return None
            keep_asking(secured)
            until_it_is_over.pop_all()
            self._unknown.release()
            return hello, lines
