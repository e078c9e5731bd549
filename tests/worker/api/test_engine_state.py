"""Who hears what. The calls are real, nobody computes."""

import logging
from pathlib import Path

import pytest

from raylax.proto.calls.call import Call
from raylax.proto.frontend import Frontend
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Delta, Finish, Load
from raylax.worker.api.engine_state import EngineState


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
    state.deliver(said(one) + said(two), Load())
    state.leave(one)
    state.leave(one)
    state.deliver(said(one, 8) + said(two, 8), Load())

    assert heard == {"one": said(one), "two": said(two) + said(two, 8)}
    assert len(state) == 1


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
        state.deliver(said(broken) + said(fine), Load())

    assert heard == said(fine)


def test_times_to_the_first_and_between_later_tokens(frontend: Frontend) -> None:
    """A delta without tokens has no part in it."""
    now = 10.0
    state = EngineState(clock=lambda: now)
    one = call(frontend)
    state.listen(one, lambda delta: None)
    now = 12.0
    state.deliver(said(one), Load())
    now = 12.5
    state.deliver(said(one), Load())
    now = 13.5
    state.deliver(said(one), Load())
    now = 99.0
    state.deliver([Delta(one.requests[0].id, finish=Finish.STOP)], Load())

    assert state.timings() == {
        "ttft_s_sum": 2.0, "ttft_count": 1, "itl_s_sum": 1.5, "itl_count": 2
    }  # fmt: skip
