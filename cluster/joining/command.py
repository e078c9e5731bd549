"""`raylax join` and `raylax leave`: how a machine comes and goes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def join(
    cluster: Annotated[
        str,
        typer.Argument(help="Where its first machine lets others in: 10.0.0.2 or 10.0.0.2:7000."),
    ],
    secret: Annotated[
        Path, typer.Option(help="A copy of the file that its cluster_secret names, of mode 0600.")
    ],
    address: Annotated[
        str | None,
        typer.Option(
            help="By which the others reach this machine; else the one by which it reaches them."
        ),
    ] = None,
) -> None:
    """Make this machine one of a cluster's, which `raylax serve --cluster` has started: it takes
    workers until Ctrl-C, which gives it back.

    Example: [bold]raylax join 10.0.0.2 --secret ~/.raylax/secret[/]
    """
    from raylax.cluster.joining.join import join_typed

    join_typed(cluster, secret, address, Console())


def leave(
    within: Annotated[
        float, typer.Option(min=5, help="Seconds after which the machine goes.")
    ] = 60,
) -> None:
    """Have what serves on this machine of a Ray cluster go elsewhere, and wait until it has: before
    `ray stop`, as pods of `raylax manifests` do. (What `raylax join` has started leaves by Ctrl-C.)

    Example: [bold]raylax leave --within 120 && ray stop[/]
    """
    from raylax.cluster.joining import leaving

    leaving.leave(within, Console())
