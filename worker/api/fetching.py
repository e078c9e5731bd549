"""What is seen of a download where a program, and no command, has asked for it."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from raylax.kernels.sources.events import Audience

EVERY_S = 10.0
"""Between lines where nobody sees them change."""


def on_stderr(out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> Audience:
    """Lines: on a terminal one that changes, elsewhere one now and then."""
    stream = out or sys.stderr
    changes, told = stream.isatty(), clock()

    def note(text: str) -> None:
        print(text, file=stream, flush=True)

    def step(text: str, fraction: float | None) -> None:
        nonlocal told
        said = text if fraction is None else f"{text}: {fraction:4.0%}"
        if changes:
            ends = "\n" if fraction == 1 else ""
            print(f"\r{said}", file=stream, end=ends, flush=True)
        elif clock() - told >= EVERY_S:
            told = clock()
            print(said, file=stream, flush=True)

    return Audience(note, step)
