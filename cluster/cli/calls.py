"""What `raylax drain` and `raylax explain` ask of a router, and how they show its answer."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from raylax.cluster.address import ask, understood
from raylax.cluster.cli.printing import cell

WIDTH = 32
"""Characters of the waterfall's bars, all of them together."""
SHOWN = 20
"""Decisions of a model, the last ones."""
COLUMNS = (
    "time", "workers", "ready", "work", "growth", "need", "hold", "backlog s", "drain",
    "in time -1/0/+1", "why",
)  # fmt: skip


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


def explain_scaling(url: str, as_json: bool, console: Console) -> None:
    """The last decisions of each model. Raises UserError."""
    said = ask(url, "GET", "/cluster/scaling")
    with understood(url):
        tables = [decided(model, told) for model, told in said["models"].items()]
    if as_json:
        print(json.dumps(said, indent=2))
        return
    if not tables:
        console.print("nothing has been decided yet")
    for one in tables:
        console.print(one)


def decided(model: str, told: list[dict[str, Any]]) -> Table:
    """One row for each decision, the newest last."""
    is_dry = bool(told) and told[-1]["dry_run"]
    title = f"{model}: decisions that are not carried out (dry_run)" if is_dry else model
    made = Table(title=cell(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        made.add_column(column, justify="left" if column in ("time", "why") else "right")
    for one in told[-SHOWN:]:
        made.add_row(*map(cell, cells_of(one)))
    return made


def cells_of(one: dict[str, Any]) -> tuple[str, ...]:
    """A decision's cells, in the order of COLUMNS."""
    inputs = one["inputs"]
    return (
        f"{datetime.fromtimestamp(one['at_s']):%H:%M:%S}",
        f"{inputs['target']} → {one['choice']}",
        str(inputs["ready"]),
        f"{one['work']:.2f}",
        f"{one['growth']:.2f}",
        str(one["need"]),
        str(one["hold"]),
        f"{one['backlog_s']:.1f}",
        str(one["drain"]),
        "/".join(f"{share:.0%}" for share in one["in_time"]),
        one["reason"],
    )
