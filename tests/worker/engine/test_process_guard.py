"""What is asked of an engine in a forked child of its process, where it has no thread."""

from collections.abc import Callable

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.engine.process_guard import ProcessGuard
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.scheduling.readiness import Need
from tests.support.engines import request
from tests.support.forks import in_fork

USES: dict[str, Callable[[ThreadedEngine], object]] = {
    "add": lambda engine: engine.add_request(request("r", [5, 6])),
    "abort": lambda engine: engine.abort_request("r"),
    "need": lambda engine: engine.meet_need("r", Need.PAGES),
    "reload": lambda engine: engine.reload(EngineConfig()),
    "reset": lambda engine: engine.reset(),
    "flush": lambda engine: engine.flush(),
    "drain": lambda engine: engine.drain(),
    "read": lambda engine: engine.read_pages([]),
    "write": lambda engine: engine.write_pages([], []),
    "debug": lambda engine: engine.debug_call_func_on_all_worker("raylax.debug.rank"),
}


@pytest.mark.parametrize("use", USES)
def test_every_call_raises_before_it_takes_a_lock(use: str) -> None:
    """One that a thread of the parent holds would never be given back."""
    engine = ThreadedEngine()
    with engine._commands._lock:
        said = in_fork(lambda: str(USES[use](engine)))

    assert said.startswith("raylax.worker.errors.EngineNotReady: this engine belongs to process")
    assert not engine._commands.draining


def test_its_end_there_is_none_of_the_engine_s() -> None:
    engine = ThreadedEngine()

    def end() -> str:
        engine.exit_background_loop()
        return "ended"

    with engine._commands._lock:
        assert in_fork(end) == "ended"


def test_a_guard_knows_its_own_process() -> None:
    guard = ProcessGuard()
    guard.check()

    assert guard.here
    assert in_fork(lambda: str(guard.here)) == "False"
