"""What a client is told when something fails: the same for every API."""

import logging
import traceback
from collections.abc import Iterator

from raylax.proto.errors import EngineFailure, RaylaxError

log = logging.getLogger(__name__)


def failure_of(error: Exception, what: str) -> RaylaxError:
    """The error as a client may know it. One that is none of ours is told to the log alone, as the
    failure of `what`."""
    if isinstance(error, RaylaxError):
        return error
    log.error("%s failed\n%s", what, "".join(trace_of(error)))
    return EngineFailure("the router failed; its log says why")


def trace_of(error: BaseException) -> Iterator[str]:
    """An error's traceback, and those of the errors that it came from. What they say is left out:
    it may be a prompt's words. The system's errors, of files and connections, say nothing such."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from trace_of(before)
        yield "which led to:\n"
    yield from traceback.format_tb(error.__traceback__)
    said = f": {error}" if isinstance(error, OSError) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{said}\n"
