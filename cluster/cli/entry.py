"""Where the `raylax` command begins: until there is somebody to take Ctrl-C, it ends us silently.

Imports take a while, and one that is interrupted is a traceback or, in compiled code, an error of
another name. So this comes before them, in a module that nothing else imports.
"""

import os
import signal

INTERRUPTED = 130  # as shells have it


def main() -> None:
    from raylax.cluster.cli.main import main

    main()


signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
