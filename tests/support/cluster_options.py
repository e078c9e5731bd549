"""What the command line knows, as Typer has it."""

from typing import Any

import typer.main

from raylax.cluster.cli.commands import app

COMMANDS = [
    "serve", "chat", "status", "top", "compile", "pull", "models", "key", "join", "leave",
    "node", "manifests", "replay", "drain", "explain", "trace", "version",
]  # fmt: skip


def command_named(name: str) -> Any:
    """A command of `raylax`; fails when there are others than COMMANDS."""
    made: Any = typer.main.get_command(app)
    assert list(made.commands) == COMMANDS
    return made.commands[name]


def parameters(command: str) -> list[Any]:
    """Arguments and options."""
    return list(command_named(command).params)


def options(command: str) -> list[str]:
    """As they are typed: --port."""
    return [p.opts[0] for p in parameters(command) if p.param_type_name == "option"]
