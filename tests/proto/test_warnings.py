"""Warnings: bounded, safe in a header, logged once."""

import contextvars
import logging

import pytest

from raylax.proto.warnings import (
    HEADER,
    LONGEST,
    MOST,
    MOST_LOGGED,
    RequestWarnings,
    collect_warnings,
    printable,
    warn,
)


def collected(*messages: str) -> RequestWarnings:
    def read() -> RequestWarnings:
        warnings = collect_warnings()
        for message in messages:
            warn(message)
        return warnings

    return contextvars.Context().run(read)


def test_nothing_to_say_is_no_header() -> None:
    assert collected().headers() == {}


def test_each_is_said_once_and_too_many_are_counted() -> None:
    few = collected("a", "b", "a")
    many = collected(*(f"ignored {number}" for number in range(MOST + 5)))

    assert few.headers() == {HEADER: "a; b"}
    assert many.headers()[HEADER].endswith(f"ignored {MOST - 1}; and 5 more")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x\r\nSet-Cookie: a", r"x\r\nSet-Cookie: a"),
        ("a\x00\x1b[31m\x7f", r"a\x00\x1b[31m\x7f"),
        ("gr\u00f6\u00dfe \u2028 \U0001f600 \ud800", r"gr\xf6\xdfe \u2028 \U0001f600 \ud800"),
    ],
)
def test_whatever_a_client_names_it_stays_one_line_of_ascii(text: str, line: str) -> None:
    assert collected(text).headers() == {HEADER: line}


@pytest.mark.parametrize("text", ["x" * (LONGEST + 1), "\n" * LONGEST, "y" * 10_000_000])
def test_a_long_one_is_cut(text: str) -> None:
    line = printable(text)

    assert len(line) == LONGEST
    assert line.endswith("...")


def test_the_log_hears_each_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not grow with what clients invent."""
    monkeypatch.setattr("raylax.proto.warnings._logged", set[str]())
    caplog.set_level(logging.WARNING, logger="raylax")
    for _ in range(3):
        collected("no such thing\nas this")
    heard = [record.getMessage() for record in caplog.records]
    for number in range(2 * MOST_LOGGED):
        collected(f"invented {number}")

    assert heard == [r"no such thing\nas this"]
    assert len(caplog.records) == MOST_LOGGED


def test_nobody_need_listen() -> None:
    contextvars.Context().run(warn, "to the log alone")
