"""The page of commands: what `raylax --help` says of each, by Typer's own writer of such pages."""

import typer.main
from typer.cli import get_docs_for_click

from raylax.cluster.cli.commands import app


def commands_page() -> str:
    command = typer.main.get_command(app)
    context = command.make_context("raylax", [], resilient_parsing=True)
    return get_docs_for_click(obj=command, ctx=context, name="raylax", title="Commands")
