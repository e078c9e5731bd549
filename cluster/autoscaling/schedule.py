"""`least` by the calendar: workers that are there before a peak that is known."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LONGEST = timedelta(days=366)
"""What has not begun within a year has not begun."""


def check_cron(text: str) -> str:
    """Raises ValueError for what is no cron expression, or one that never comes."""
    try:
        next(CronSim(text, datetime(2024, 1, 1)))
    except CronSimError as error:
        raise ValueError(f"must be five fields of cron, as 0 8 * * 1-5: {error}") from None
    except StopIteration:
        raise ValueError("must be a time that comes") from None
    return text


def check_zone(name: str) -> str:
    """Raises ValueError for a time zone that this machine does not know."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("must be a time zone, as UTC or Europe/Berlin") from None
    return name


def least_at(times: Sequence[tuple[str, int]], otherwise: int, zone: str, now: datetime) -> int:
    """Workers at least: those of the entry that began last, or else `otherwise`. `times`: cron
    expressions, in `zone`, and workers from then on; of two that begin together the later in the
    list holds."""
    here = now.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)
    last, least = here - LONGEST, otherwise
    for text, workers in times:
        began = next(CronSim(text, here + timedelta(minutes=1), reverse=True), None)
        if began is not None and began >= last:
            last, least = began, workers
    return least
