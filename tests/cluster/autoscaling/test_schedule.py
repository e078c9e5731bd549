"""`least` by the calendar."""

from datetime import UTC, datetime

import pytest

from raylax.cluster.autoscaling.schedule import check_cron, check_zone, least_at

OFFICE = (("0 8 * * 1-5", 6), ("0 18 * * 1-5", 2))


@pytest.mark.parametrize(
    ("day", "hour", "minute", "workers"),
    [
        (30, 7, 59, 2),  # a Monday; on Friday evening two began
        (30, 8, 0, 6),
        (30, 17, 59, 6),
        (30, 18, 0, 2),
        (29, 12, 0, 2),  # Sunday
    ],
)
def test_the_entry_that_began_last_holds(day: int, hour: int, minute: int, workers: int) -> None:
    now = datetime(2026, 11, day, hour, minute, 30, tzinfo=UTC)

    assert least_at(OFFICE, 1, "UTC", now) == workers


def test_times_are_those_of_a_zone() -> None:
    """At 7:30 of Greenwich it is half past eight in Berlin."""
    now = datetime(2026, 11, 30, 7, 30, tzinfo=UTC)

    assert least_at(OFFICE, 1, "UTC", now) == 2
    assert least_at(OFFICE, 1, "Europe/Berlin", now) == 6


def test_without_entries_nothing_changes() -> None:
    assert least_at((), 3, "UTC", datetime(2026, 11, 30, tzinfo=UTC)) == 3


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "0 8 30 2 *", "every day"])
def test_what_is_no_cron_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be five fields of cron"):
        check_cron(text)


def test_what_is_no_zone_is_refused() -> None:
    assert check_zone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="must be a time zone"):
        check_zone("../etc/passwd")
