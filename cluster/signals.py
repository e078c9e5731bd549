"""Stopping by Ctrl-C, `kill` or the closing of the terminal."""

import signal
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping(Exception):
    """Somebody asked us to stop."""


def stop_on_signals() -> None:
    """The first one interrupts whatever runs by Stopping; more are ignored: the end is near."""
    for number in NUMBERS:
        signal.signal(number, _stop)


def ignore_signals() -> None:
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    raise Stopping
