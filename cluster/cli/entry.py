"""Where the `raylax` command begins, and where Ctrl-C ends it: silently, from the first moment.

Imports take a while, and one that is interrupted is a traceback or, in compiled code, an error of
another name. So until there is somebody to take it the signal ends us, which comes before them, in
a module that nothing else imports.
"""

import os
import signal
import sys

INTERRUPTED = 130  # as shells have it


def main() -> None:
    from raylax.cluster.cli.main import main

    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
