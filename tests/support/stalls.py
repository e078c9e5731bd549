"""Measures for how long an event loop stands still by what runs on it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass
class Stalls:
    """The longest callback so far: its CPU time, since others may have the core meanwhile."""

    longest_s: float = 0.0
    callback: str = ""


@contextmanager
def measured() -> Iterator[Stalls]:
    """Looks at what runs on the loop of this thread."""
    stalls, thread, run = Stalls(), threading.get_ident(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        if threading.get_ident() != thread:
            return run(handle)
        name, begun = repr(handle), time.thread_time()
        run(handle)
        took = time.thread_time() - begun
        if took > stalls.longest_s:
            stalls.longest_s, stalls.callback = took, name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield stalls
