"""Makes the matchers of requests that have a grammar, while those wait for their turn."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from raylax.proto.grammar.matcher import GrammarError, Matcher
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.vocabulary import Request

NICE, NICEST = 10, 19
"""By how much, and the most there is. That is a tenth of a core where an engine's threads want all:
a stranger's grammar may take a quarter of a second, and answers that run do not wait for it."""
Made = Callable[[str, Matcher | None, str], None]
"""Hears of a request's matcher, or why there is none."""


class MatcherMaker:
    """Of an engine. `made` is called by a thread of its own."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._thread: ThreadPoolExecutor | None = None

    def make(self, request: Request, matchers: Matchers) -> None:
        """Make the matcher of a request, soon; nothing once it is closed, for then the request ends
        with its engine."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "grammars", initializer=give_way)
        with suppress(RuntimeError):
            self._thread.submit(self.make_now, request, matchers)

    def make_now(self, request: Request, matchers: Matchers) -> None:
        """Make it before this returns."""
        sampling = request.sampling
        try:
            matcher = matchers.matcher(sampling.grammar, sampling.grammar_after, request.history)
        except (GrammarError, ValueError) as error:
            self._made(request.id, None, str(error))
        else:
            self._made(request.id, matcher, "")

    def close(self) -> None:
        """Make no more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def give_way() -> None:
    """From now on this thread takes what others leave, and a little."""
    thread = threading.get_native_id()
    nice = os.getpriority(os.PRIO_PROCESS, thread) + NICE
    os.setpriority(os.PRIO_PROCESS, thread, min(NICEST, nice))


class MatcherMakerAtOnce(MatcherMaker):
    """Of an engine without threads."""

    def make(self, request: Request, matchers: Matchers) -> None:
        self.make_now(request, matchers)
