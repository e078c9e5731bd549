"""A wait ends when it may, and costs next to nothing until then."""

import threading
import time

from raylax.worker.comm.spin_wait import wait_until


def test_a_condition_that_holds_is_not_waited_for() -> None:
    """Not even when no time is left."""
    assert wait_until(lambda: True, 0)


def test_a_wait_in_vain_ends_with_its_deadline() -> None:
    begun = time.monotonic()

    assert not wait_until(lambda: False, 0.05)
    assert time.monotonic() - begun >= 0.05


def test_a_condition_that_comes_true_ends_the_wait() -> None:
    come = threading.Event()
    threading.Timer(0.05, come.set).start()

    assert wait_until(come.is_set, 60)


def test_a_long_wait_takes_no_processor() -> None:
    """Counted in processor time: what else the machine does is not in it."""
    begun = time.thread_time()
    wait_until(lambda: False, 0.5)

    assert time.thread_time() - begun < 0.05
