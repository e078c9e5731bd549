"""The `raylax` command: from the terminal to `commands.py`, and mistakes back in one line."""

import os
import signal
import sys
from io import TextIOWrapper

from raylax.cluster.errors import UserError


def main() -> None:
    """Runs the command that `sys.argv` names. From here on Ctrl-C is KeyboardInterrupt."""
    hold_standard_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show is no error
    try:
        from raylax.cluster.cli.commands import app

        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)  # as Click does when it notices first
    except UserError as error:
        from rich.console import Console
        from rich.markup import escape

        console = Console(stderr=True)
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


def hold_standard_streams() -> None:
    """Puts nothing where whoever started us has closed input, output or errors: what is opened
    later would be taken for them."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(file, True)
    os.close(file)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as we live
