"""What `raylax drain` and `raylax explain` ask of a router, and how they show its answer."""

import json
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from raylax.cluster.address import ask, understood
from raylax.cluster.cli.printing import cell

WIDTH = 32
"""Characters of the waterfall's bars, all of them together."""


def drain(url: str, worker: str, console: Console) -> None:
    """Raises UserError for a worker that is not there."""
    said = ask(url, "POST", f"/cluster/drain/{quote(worker, safe='')}", body={})
    with understood(url):
        name = said["worker"]
    console.print(cell(f"{name} drains: its requests move, then it ends"))


def explain(url: str, request_id: str, as_json: bool, console: Console) -> None:
    """Raises UserError for a request that is not known any more."""
    timeline = ask(url, "GET", f"/explain/{quote(request_id, safe='')}")
    with understood(url):
        tables = [waterfall(timeline["moments"]), *map(decision, timeline["choices"])]
    if as_json:
        print(json.dumps(timeline, indent=2))
        return
    for table in tables:
        console.print(table)


def waterfall(moments: list[dict[str, Any]]) -> Table:
    """When what happened: a bar up to the next moment."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in ("ms", "what", "", ""):
        table.add_column(column, justify="right" if column == "ms" else "left", no_wrap=True)
    end = max((moment["at_s"] for moment in moments), default=0.0) or 1.0
    starts = [round(WIDTH * moment["at_s"] / end) for moment in moments]
    for moment, start, stop in zip(moments, starts, [*starts[1:], WIDTH], strict=True):
        bar = " " * start + "█" * max(1, stop - start)
        at = f"{1000 * moment['at_s']:.1f}"
        table.add_row(at, *map(cell, (moment["name"], bar, moment["detail"])))
    return table


def decision(choice: dict[str, Any]) -> Table:
    """The best candidates in their order, each with what it was compared by."""
    title = f"{choice['policy']} chose {choice['chosen']}: {choice['reason']}"
    table = Table(title=cell(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    candidates = choice["candidates"]
    terms = list(candidates[0]["terms"]) if candidates else []
    for column in ("worker", "age ms", *terms):
        table.add_column(column, justify="left" if column == "worker" else "right")
    for one in candidates:
        values = (f"{one['terms'][term]:.4g}" for term in terms)
        table.add_row(cell(one["worker"]), f"{1000 * one['age_s']:.0f}", *values)
    return table
