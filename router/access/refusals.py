"""A line in the log for each call that was refused; a flood of them cannot fill the disk."""

import logging
import time
from collections.abc import Callable

from raylax.proto.errors import RaylaxError
from raylax.proto.warnings import printable
from raylax.router.access.caller import Caller

log = logging.getLogger(__name__)
MOST_A_SECOND = 10


class RefusalLog:
    """Writes who was refused what, by which rule: none of a client's own words but the name that it
    gave its request, and no key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._since, self._written, self._left_out = clock, clock(), 0, 0

    def note(self, what: str, status: str, caller: Caller, error: Exception) -> None:
        """A call of `what`, a route or a method as we name it, ended with this status. Beyond
        MOST_A_SECOND they are counted only."""
        now = self._clock()
        if now - self._since >= 1:
            if self._left_out:
                log.warning("%d more refusals are not written here", self._left_out)
            self._since, self._written, self._left_out = now, 0, 0
        if self._written >= MOST_A_SECOND:
            self._left_out += 1
            return
        self._written += 1
        ours = error if isinstance(error, RaylaxError) else None
        level = logging.WARNING if ours is None or ours.http_status >= 500 else logging.INFO
        call = f"request={caller.request_id} call={(ours and ours.call_id) or '-'}"
        tenant = f"tenant={caller.tenant or '-'} trace={caller.traceparent}"
        rule = printable(ours.rule if ours else type(error).__name__)
        log.log(level, "%s %s %s %s: %s", printable(what), status, call, tenant, rule)
