"""Work that is shared among threads: numpy lets others run while it computes."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    work: Callable[[T], R], items: Iterable[T], threads: int, done: Callable[[R], None]
) -> None:
    """`done` hears of each item's result, in the order of the items, in the thread that called.

    Twice as many items as there are threads are taken ahead, so that what they need is bounded.
    Raises what `work` or `done` raises, as soon as the items that had begun are through.
    """
    ahead: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) == 2 * threads:
                done(ahead.popleft().result())
        while ahead:
            done(ahead.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)
