"""The two threads of an engine."""

import threading
from collections.abc import Callable

from raylax.worker.engine.threaded_engine import ThreadedEngine


def start_threads(engine: ThreadedEngine) -> list[threading.Thread]:
    """The engine thread and the stream-back thread, at work.

    They hold the engine, not whoever made it, and return after `exit_background_loop`. A program
    that ends does not wait for them.
    """
    loops: dict[str, Callable[[], None]] = {
        "engine": engine.run_background_loop,
        "stream-back": engine.run_background_stream_back_loop,
    }
    threads = [
        threading.Thread(target=loop, name=f"raylax-{name}", daemon=True)
        for name, loop in loops.items()
    ]
    for thread in threads:
        thread.start()
    return threads
