"""Who hears what. The calls are real, nobody computes."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.calls.call import Call
from raylax.proto.frontend import Frontend
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish, Load
from raylax.worker.api.engine_state import EngineState


class CountingLoop(asyncio.BaseEventLoop):
    """Does what it is woken for when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.close()  # it never runs
        self.woken, self.shut, self._given = 0, False, list[Callable[[], Any]]()

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        if self.shut:
            raise RuntimeError("Event loop is closed")
        self.woken += 1
        self._given.append(partial(callback, *args))

    def run(self) -> None:
        for one in self._given:
            one()


@pytest.fixture
def frontend(checkpoint: Path) -> Frontend:
    return Frontend.load(TextFiles(checkpoint), "tiny", 64)


def call(frontend: Frontend, n: int = 1) -> Call:
    return frontend.completion(CompletionRequest(prompt=[5, 6], n=n))


def said(call: Call, token: int = 7, finish: Finish | None = None) -> list[Delta]:
    return [Delta(request.id, (token,), finish=finish) for request in call.requests]


def test_each_hears_its_own(frontend: Frontend) -> None:
    """All choices of a call, until it leaves."""
    state = EngineState()
    one, two = call(frontend, n=2), call(frontend)
    heard: dict[str, list[Delta]] = {"one": [], "two": []}
    state.listen(one, heard["one"].append)
    state.listen(two, heard["two"].append)
    state.sync_callback(said(one) + said(two), Load())
    state.leave(one)
    state.leave(one)
    state.sync_callback(said(one, 8) + said(two, 8), Load())

    assert heard == {"one": said(one), "two": said(two) + said(two, 8)}
    assert len(state) == 1


def test_a_loop_is_woken_once_for_a_step(frontend: Frontend) -> None:
    """However many listen there, each in the order of the deltas; on the loop itself."""
    state, loop = EngineState(), CountingLoop()
    calls, heard = [call(frontend) for _ in range(3)], dict[str, list[Delta]]()
    for one in calls:
        state.listen(one, heard.setdefault(one.id, []).append, loop)
    step = [*said(calls[0]), *said(calls[1]), *said(calls[0], 8), *said(calls[2])]
    state.request_stream_callback("async")(step, Load())
    assert heard == {one.id: [] for one in calls}
    loop.run()

    assert loop.woken == 1
    assert heard[calls[0].id] == said(calls[0]) + said(calls[0], 8)
    assert heard[calls[2].id] == said(calls[2])


def test_a_loop_that_was_closed_harms_no_other(frontend: Frontend) -> None:
    state, closed, open_loop = EngineState(), CountingLoop(), CountingLoop()
    gone, there, heard = call(frontend), call(frontend), list[Delta]()
    state.listen(gone, heard.append, closed)
    state.listen(there, heard.append, open_loop)
    closed.shut = True
    state.async_callback(said(gone) + said(there), Load())
    open_loop.run()

    assert heard == said(there)


def test_a_listener_that_fails_harms_no_other(
    frontend: Frontend, caplog: pytest.LogCaptureFixture
) -> None:
    state = EngineState()
    broken, fine = call(frontend), call(frontend)
    heard: list[Delta] = []

    def fail(delta: Delta) -> None:
        raise RuntimeError("the loop was closed")

    state.listen(broken, fail)
    state.listen(fine, heard.append)
    with caplog.at_level(logging.CRITICAL):
        state.sync_callback(said(broken) + said(fine), Load())

    assert heard == said(fine)


def test_times_to_the_first_and_between_later_tokens(frontend: Frontend) -> None:
    """A delta without tokens has no part in it."""
    now = 10.0
    state = EngineState(clock=lambda: now)
    one = call(frontend)
    state.listen(one, lambda delta: None)
    now = 12.0
    state.request_stream_callback("sync")(said(one), Load())
    now = 12.5
    state.sync_callback(said(one), Load())
    now = 13.5
    state.sync_callback(said(one), Load())
    now = 99.0
    state.sync_callback([Delta(one.requests[0].id, finish=Finish.STOP)], Load())

    assert state.timings() == {
        "ttft_s_sum": 2.0, "ttft_count": 1, "itl_s_sum": 1.5, "itl_count": 2
    }  # fmt: skip
