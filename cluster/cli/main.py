"""The `raylax` command: from the terminal to `commands.py`, and mistakes back in one line."""

import sys

from raylax.cluster.errors import UserError

INTERRUPTED = 130  # as shells have it


def main() -> None:
    """Imports what is slow to import here, where Ctrl-C is not a traceback either."""
    try:
        from raylax.cluster.cli.commands import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UserError as error:
        from rich.console import Console
        from rich.markup import escape

        console = Console(stderr=True)
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
