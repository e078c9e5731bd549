"""How a benchmark that starts processes ends."""

import signal
import sys
from collections.abc import Callable

from engines.base import PeerFailed


def run(measure: Callable[[], None]) -> None:
    """Call it. Its children end with us, whatever ends us; a peer that fails is one line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children end with us
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background ignores
    try:
        measure()
    except PeerFailed as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)
