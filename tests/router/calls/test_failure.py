"""What clients are told of failures."""

import logging

import pytest

from raylax.proto.errors import EngineFailure, NotFound
from raylax.router.calls.failure import failure_of


def test_a_known_error_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """It is no affair of the log."""
    error = NotFound("it is not here")

    assert failure_of(error, "GET /x") is error
    assert caplog.records == []


def test_another_error_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback; the client hears where to look."""
    with caplog.at_level(logging.ERROR):
        failure = failure_of(ZeroDivisionError("a secret"), "GET /x")

    assert isinstance(failure, EngineFailure)
    assert failure.message == "the router failed; its log says why"
    assert "GET /x failed" in caplog.text and "a secret" in caplog.text
