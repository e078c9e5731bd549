"""How a sum is timed. Standard library only: other Pythons import it, too."""

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

WARM_UP = 10
TIMEOUT_S = 60.0
Seconds = list[float]


class Sum(Protocol):
    """One rank's, of float32."""

    def prepare(self, size: int) -> None:
        """So many bytes, zeros, so that they stay what they are."""
        ...

    def __call__(self) -> None: ...


class Pair(Protocol):
    def measure(self, size: int, count: int) -> Seconds:
        """Of so many sums of so many bytes, on rank 0."""
        ...

    def close(self) -> None: ...


def timed(sums: Sum, size: int, count: int) -> Seconds:
    """Both ranks do this at the same time; the first sums let them meet."""
    sums.prepare(size)
    for _ in range(WARM_UP):
        sums()
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        sums()
        found.append(time.perf_counter() - begun)
    return found


class Processes:
    """Rank 1 is a child of this process, which is rank 0."""

    def __init__(self, make: Callable[[int], Sum]) -> None:
        self._orders, orders = multiprocessing.Pipe()
        if os.fork() == 0:
            self._orders.close()
            be_rank_one(make, orders)
        self._sums = make(0)

    def measure(self, size: int, count: int) -> Seconds:
        self._orders.send((size, count))
        return timed(self._sums, size, count)

    def close(self) -> None:
        """Rank 1 ends when it cannot hear us any more."""
        self._orders.close()


def be_rank_one(make: Callable[[int], Sum], orders: Any) -> None:
    sums = make(1)
    while True:
        try:
            timed(sums, *orders.recv())
        except EOFError:
            os._exit(0)


class Threads:
    """Both ranks are threads of this process."""

    def __init__(self, make: Callable[[int], Sum]) -> None:
        self._orders: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._other = make(1)
        threading.Thread(target=self._be_rank_one, daemon=True).start()
        self._sums = make(0)

    def measure(self, size: int, count: int) -> Seconds:
        self._orders.put((size, count))
        return timed(self._sums, size, count)

    def close(self) -> None:
        """The process ends, and rank 1 with it."""

    def _be_rank_one(self) -> None:
        while True:
            timed(self._other, *self._orders.get())
