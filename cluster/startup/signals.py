"""Stopping by Ctrl-C, `kill` or the closing of the terminal; reading again by SIGUSR1."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RELOAD = signal.SIGUSR1


class Stopping(Exception):
    """Somebody asked us to stop, by this signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        """As shells have it: 130 after Ctrl-C."""


def stop_on_signals() -> None:
    """The first signal raises Stopping in whatever runs; more are ignored: the end is near."""
    for number in NUMBERS:
        signal.signal(number, _stop)


def reload_by(read_again: Callable[[], None]) -> None:
    """SIGUSR1 calls it, between two steps of whatever runs."""
    signal.signal(RELOAD, lambda number, frame: read_again())


def ignore_signals() -> None:
    """So that nothing interrupts the end."""
    for number in (*NUMBERS, RELOAD):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def undisturbed(numbers: Sequence[signal.Signals] = NUMBERS) -> Iterator[None]:
    """These signals, where they come inside, wait until it ends."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in numbers
    }  # a mask would be one thread's own, and any thread may be the one that is interrupted
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _stop(number: int, frame: FrameType | None) -> None:
    ignore_signals()
    raise Stopping(number)
