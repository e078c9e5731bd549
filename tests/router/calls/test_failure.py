"""What clients are told of failures."""

import errno
import logging
import os

import pytest

from raylax.proto.errors import EngineFailure, NotFound
from raylax.router.calls.failure import failure_of


def without_source(text: str) -> str:
    """A traceback quotes the lines of this file."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def test_a_known_error_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """It is no affair of the log."""
    error = NotFound("it is not here")

    assert failure_of(error, "GET /x") is error
    assert caplog.records == []


def test_another_error_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback, and those of what it came from, but without what they say, which may be
    a prompt's words. The client hears where to look."""

    def fail() -> None:
        try:
            float("a secret")
        except ValueError as error:
            raise KeyError("another secret") from error

    with caplog.at_level(logging.ERROR):
        try:
            fail()
        except KeyError as error:
            failure = failure_of(error, "GET /x")

    assert isinstance(failure, EngineFailure)
    assert failure.message == "the router failed; its log says why"
    assert "GET /x failed" in caplog.text and "secret" not in without_source(caplog.text)
    for name in ("builtins.ValueError", "builtins.KeyError", "in fail"):
        assert name in caplog.text


def test_the_systems_errors_are_told_whole(caplog: pytest.LogCaptureFixture) -> None:
    failure_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file"), "GET /x")

    assert "No space left on device: '/a/file'" in caplog.text
