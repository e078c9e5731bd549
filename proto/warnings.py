"""What a client is told beside its answer: that a part of its request has no effect.

Whoever reads a request says so by `warn`; the server that answers it collects by `collect_warnings`
what was said meanwhile, and sends it as a header. Each warning is logged, too, the first time.
"""

import logging
import re
from contextvars import ContextVar

log = logging.getLogger(__name__)
HEADER = "warnings"
MOST = 8
"""Warnings in one answer; further ones are counted only."""
LONGEST = 200
"""Characters of a warning: clients name fields as they like."""
MOST_LOGGED = 1000
"""Different warnings that a process logs: whoever invents names does not fill its log."""
UNPRINTABLE = re.compile(r"[^ -~]")


class RequestWarnings:
    """What was said of one request. It is filled by whichever thread reads the request, and sent
    when the answer begins."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self._more = 0

    def add(self, message: str) -> None:
        if message in self._said:
            return
        if len(self._said) < MOST:
            self._said[message] = None
        else:
            self._more += 1

    @property
    def said(self) -> list[str]:
        """The warnings that are shown."""
        return list(self._said)

    def headers(self) -> dict[str, str]:
        """The header with all of them; nothing when there are none."""
        if not self._said:
            return {}
        more = [f"and {self._more} more"] if self._more else []
        return {HEADER: "; ".join([*self._said, *more])}


COLLECTED: ContextVar[RequestWarnings | None] = ContextVar("warnings", default=None)
_logged: set[str] = set()


def collect_warnings() -> RequestWarnings:
    """Where from now on, in this context and those that are copied from it, warnings are kept."""
    warnings = RequestWarnings()
    COLLECTED.set(warnings)
    return warnings


def warn(message: str) -> None:
    """Tell the client of the request that is being read, and the log if it is new there. A client's
    own words may be part of it: it is cut short, and all but printable ASCII is escaped."""
    shown = printable(message)
    if (collected := COLLECTED.get()) is not None:
        collected.add(shown)
    if shown not in _logged and len(_logged) < MOST_LOGGED:
        _logged.add(shown)
        log.warning("%s", shown)


def printable(text: str) -> str:
    """A line of printable ASCII, for a header or a log, whatever the text."""
    line = UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text[:LONGEST])
    return line if len(text) <= LONGEST and len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
