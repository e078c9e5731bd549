"""What a client is told when something fails: the same for every API."""

import logging

from raylax.proto.errors import EngineFailure, RaylaxError

log = logging.getLogger(__name__)


def failure_of(error: Exception, what: str) -> RaylaxError:
    """The error as a client may know it. One that is none of ours is told to the log alone, as the
    failure of `what`."""
    if isinstance(error, RaylaxError):
        return error
    log.error("%s failed", what, exc_info=error)
    return EngineFailure("the router failed; its log says why")
