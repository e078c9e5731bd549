"""What `raylax drain` and `raylax explain` ask of a router, and how they show its answer."""

import json
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from raylax.cluster.address import base_of, credentials, needs_key, nobody_at
from raylax.cluster.errors import UserError

TIMEOUT_S = 10.0
WIDTH = 32
"""Characters of the waterfall's bars, all of them together."""


def drain(url: str, worker: str, console: Console) -> None:
    """Raises UserError for a worker that is not there."""
    ask_router(url, "POST", f"/cluster/drain/{worker}")
    console.print(f"{worker} drains: its requests move, then it ends", highlight=False)


def explain(url: str, request_id: str, as_json: bool, console: Console) -> None:
    """Raises UserError for a request that is not known any more."""
    timeline = ask_router(url, "GET", f"/explain/{request_id}")
    if as_json:
        print(json.dumps(timeline, indent=2))
        return
    console.print(waterfall(timeline["moments"]))
    for choice in timeline["choices"]:
        console.print(decision(choice))


def ask_router(url: str, method: str, path: str) -> dict[str, Any]:
    """The router's answer; its own words when it refuses."""
    try:
        reply = httpx.request(method, base_of(url) + path, timeout=TIMEOUT_S, headers=credentials())
        if reply.status_code == 401:
            raise needs_key(url)
        said: dict[str, Any] = reply.json()
        if reply.is_error:
            raise UserError(str(said["error"]["message"]))
        return said
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        raise nobody_at(url) from None


def waterfall(moments: list[dict[str, Any]]) -> Table:
    """When what happened: a bar up to the next moment."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in ("ms", "what", "", ""):
        table.add_column(column, justify="right" if column == "ms" else "left", no_wrap=True)
    end = max((moment["at_s"] for moment in moments), default=0.0) or 1.0
    starts = [round(WIDTH * moment["at_s"] / end) for moment in moments]
    for moment, start, stop in zip(moments, starts, [*starts[1:], WIDTH], strict=True):
        bar = " " * start + "█" * max(1, stop - start)
        table.add_row(f"{1000 * moment['at_s']:.1f}", moment["name"], bar, moment["detail"])
    return table


def decision(choice: dict[str, Any]) -> Table:
    """The best candidates in their order, each with what it was compared by."""
    title = f"{choice['policy']} chose {choice['chosen']}: {choice['reason']}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    candidates = choice["candidates"]
    terms = list(candidates[0]["terms"]) if candidates else []
    for column in ("worker", "age ms", *terms):
        table.add_column(column, justify="left" if column == "worker" else "right")
    for one in candidates:
        values = (f"{one['terms'][term]:.4g}" for term in terms)
        table.add_row(one["worker"], f"{1000 * one['age_s']:.0f}", *values)
    return table
