"""What `raylax status` shows."""

import json
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from raylax.cluster.config import UserError

TIMEOUT_S = 10.0
COLUMNS = ("worker", "pid", "node", "address", "state", "KV use", "running", "waiting", "versions")


def show(url: str, as_json: bool, console: Console) -> None:
    """Raises UserError when nobody serves there."""
    cluster = fetch(url)
    if as_json:
        print(json.dumps(cluster, indent=2))
        return
    table = Table(*COLUMNS, title=url)
    for worker in cluster["workers"]:
        table.add_row(*row(worker))
    console.print(table)


def fetch(url: str) -> dict[str, Any]:
    try:
        response = httpx.get(f"{url.rstrip('/')}/cluster", timeout=TIMEOUT_S)
        response.raise_for_status()
        cluster: dict[str, Any] = response.json()
        cluster["workers"]
        return cluster
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        raise UserError(f"no raylax answers at {url}; start one by `raylax serve`") from None


def row(worker: dict[str, Any]) -> list[str]:
    load, versions = worker["load"], worker["versions"]
    return [
        worker["worker_id"],
        str(worker["pid"]),
        worker["node"][:8],
        worker["address"],
        worker["state"],
        f"{load['kv_usage']:.0%} of {load['pages_total']} pages",
        str(load["running"]),
        str(load["waiting"]),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
