"""A screen that is drawn anew every second, until Ctrl-C."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live

from raylax.cluster.address import ask, understood
from raylax.cluster.cli.printing import cell
from raylax.cluster.errors import UserError

EVERY_S = 1.0
Draw = Callable[[dict[str, Any]], RenderableType]


def keep_showing(
    url: str, draw: Draw, console: Console, pause: Callable[[float], None] = time.sleep
) -> None:
    """Show what `draw` makes of /cluster, again and again. While nobody answers, the last of it
    stays, with the reason below. Raises UserError where nobody has answered yet."""
    shown = drawn(url, draw)
    with Live(shown, console=console, auto_refresh=False) as live:
        try:
            while True:
                pause(EVERY_S)
                try:
                    shown = drawn(url, draw)
                    live.update(shown, refresh=True)
                except UserError as error:
                    live.update(Group(shown, cell(str(error), "red")), refresh=True)
        except KeyboardInterrupt:
            return


def drawn(url: str, draw: Draw) -> RenderableType:
    """The cluster as it is now. Raises UserError."""
    cluster = ask(url, "GET", "/cluster")
    with understood(url):
        return draw(cluster)
