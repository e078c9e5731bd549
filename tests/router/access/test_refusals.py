"""Refusals leave a line each, and a flood of them a count."""

import logging

import pytest

from raylax.proto.errors import InvalidRequest, RateLimited, WorkerUnavailable
from raylax.proto.vocabulary import CallOrigin
from raylax.router.access.caller import Caller
from raylax.router.access.refusals import MOST_A_SECOND, RefusalLog

ALICE = Caller(CallOrigin(tenant="alice"), request_id="req-1")


def test_a_line_says_who_was_refused_by_which_rule(caplog: pytest.LogCaptureFixture) -> None:
    """Its level says whose fault it is; what a client wrote is not in it."""
    caplog.set_level(logging.INFO, "raylax")
    refusals = RefusalLog()
    for error in (
        RateLimited("3 requests a minute, all used"),
        InvalidRequest("max_tokens is 'a secret'", param="max_tokens"),
        WorkerUnavailable("no\nworker"),
        ValueError("a secret"),
    ):
        refusals.note("POST /v1/completions", "4xx", ALICE, error)

    first, second, third, fourth = caplog.records
    assert first.getMessage().startswith(
        "POST /v1/completions 4xx request=req-1 call=- tenant=alice"
    )
    assert first.getMessage().endswith(": 3 requests a minute, all used")
    assert second.getMessage().endswith(": max_tokens: invalid_request_error")
    assert third.getMessage().endswith(r": no\nworker")
    assert fourth.getMessage().endswith(": ValueError")
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "INFO", "WARNING", "WARNING"]


def test_of_a_flood_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "raylax")
    now = 0.0
    refusals = RefusalLog(lambda: now)
    for _ in range(MOST_A_SECOND + 990):
        refusals.note("Chat", "RESOURCE_EXHAUSTED", ALICE, RateLimited("a rule"))
    assert len(caplog.messages) == MOST_A_SECOND
    now = 1.0
    refusals.note("Chat", "RESOURCE_EXHAUSTED", ALICE, RateLimited("a rule"))

    assert caplog.messages[MOST_A_SECOND] == "990 more refusals are not written here"
    assert len(caplog.messages) == MOST_A_SECOND + 2
