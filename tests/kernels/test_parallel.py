"""Work in threads: results in order, a bounded number ahead, and an end at the first mistake."""

import threading
from collections.abc import Iterator

import pytest

from raylax.kernels.parallel import in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    """Although the first one waits for the second."""
    second, heard = threading.Event(), list[int]()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(30)
        if item == 1:
            second.set()
        return item * item

    in_threads(work, range(20), 2, heard.append)

    assert heard == [item * item for item in range(20)]


def test_few_items_are_taken_ahead() -> None:
    """Of any number that there are."""
    taken, heard = 0, 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            assert taken - heard <= 6
            yield item

    def done(_: int) -> None:
        nonlocal heard
        heard += 1

    in_threads(lambda item: item, items(), 3, done)

    assert heard == 100


@pytest.mark.parametrize("where", ["work", "done"])
def test_a_mistake_ends_it(where: str) -> None:
    """Nothing begins any more, and no thread stays."""
    begun, before = list[int](), set(threading.enumerate())

    def work(item: int) -> int:
        begun.append(item)
        if where == "work" and item == 3:
            raise OSError("full")
        return item

    def done(item: int) -> None:
        if where == "done" and item == 3:
            raise KeyboardInterrupt

    with pytest.raises((OSError, KeyboardInterrupt)):
        in_threads(work, range(1000), 2, done)

    assert len(begun) < 20
    assert not set(threading.enumerate()) - before
