"""What `raylax status` shows: for each model a table that fits 80 columns and what it waits for,
below them cores and versions.

A worker's line is that of its first rank, too; the others follow with what they have of their own.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from raylax.cluster.address import ask, understood
from raylax.cluster.cli.printing import cell

GIB = 1 << 30
SILENT_S = 3.0
"""Workers report every second; after this long something is wrong."""
COLUMNS = ("worker", "pid", "node", "address", "state", "KV pages", "running", "waiting")
NUMBERS = ("pid", "KV pages", "running", "waiting")


def show(url: str, as_json: bool, console: Console) -> None:
    """Raises UserError when nobody serves there."""
    cluster = ask(url, "GET", "/cluster")
    with understood(url):
        workers, models = cluster["workers"], cluster["models"]
    if as_json:
        print(json.dumps(cluster, indent=2))
        return
    with understood(url):
        shown = [part for model in models for part in parts_of(model, models[model], workers)]
        lines = [*faults(workers), *cores(workers), *gpus(workers), *versions(workers)]
    for part in shown or [table_of()]:
        console.print(part)
    for line in lines:
        console.print(cell(line, "dim"))


def parts_of(
    model: str, sums: dict[str, Any], workers: list[dict[str, Any]]
) -> Iterator[RenderableType]:
    """A model's name, the table of its workers if it has any, and how far its next one is."""
    those = [worker for worker in workers if worker["model"] == model]
    yield table_of(model, those) if those else cell(model, "bold")
    if (line := progress(sums)) is not None:
        yield cell(line, "yellow")


def progress(sums: dict[str, Any]) -> str | None:
    """What a model waits for: a worker that starts, or a request; None: for nothing."""
    ready, starting, held = sums["ready"], sums["starting"], sums["held"]
    if ready and not starting:
        return None
    said = [f"{ready} worker{'' if ready == 1 else 's'}"]
    if starting:
        first = "one starting" if starting == 1 else f"{starting} starting, the first"
        said.append(f"{first} for {sums['starting_s']:.0f} s of about {sums['start_s']:.0f} s")
    elif sums["least"] == 0:
        said.append("the next request starts one")
    if held:
        said.append(f"{held} request{' waits' if held == 1 else 's wait'}")
    return ", ".join(said)


def table_of(model: str | None = None, workers: Iterable[dict[str, Any]] = ()) -> Table:
    """A line for each rank of each worker."""
    title = cell(model, "bold") if model is not None else None
    table = Table(
        title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False,
        header_style="bold",
    )  # fmt: skip
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for worker in workers:
        table.add_row(*map(cell, row(worker)))
        for shard in worker["shards"]:
            cells = (f"  rank {shard['rank']}", str(shard["pid"]), "", shard["host"])
            table.add_row(*map(cell, cells))
    return table


def row(worker: dict[str, Any]) -> list[str]:
    """A worker's cells, by COLUMNS."""
    load = worker["load"]
    return [
        worker["worker_id"],
        str(worker["pid"]),
        worker["node"][:6],
        worker["address"],
        state(worker),
        f"{load['kv_usage']:.0%} of {load['pages_total']}",
        str(load["running"]),
        str(load["waiting"]),
    ]


def state(worker: dict[str, Any]) -> str:
    """How a worker stood when it last reported, or that it has not for a while."""
    if worker["age_s"] > SILENT_S:
        return f"silent {worker['age_s']:.0f} s"
    return str(worker["stage"] if worker["state"] == "loading" else worker["state"])


def faults(workers: list[dict[str, Any]]) -> Iterator[str]:
    """Why workers can no longer serve, as which GPU was lost; others take their places."""
    for worker in workers:
        if worker["fault"] is not None:
            yield f"{worker['worker_id']}: {worker['fault']}"


def cores(workers: list[dict[str, Any]]) -> Iterator[str]:
    """Which cores each worker has to itself, if it has any, by rank."""
    own = [
        " ".join([w["worker_id"], *(ranges(rank["cores"]) for rank in (w, *w["shards"]))])
        for w in workers
        if w["cores"]
    ]
    if own:
        yield f"cores: {', '.join(own)}"


def gpus(workers: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each GPU of each worker, with what it tells of itself."""
    for worker in workers:
        for gpu in worker["gpus"]:
            said = [f"{worker['worker_id']} {gpu['name']} {gpu['uuid']}:"]
            if gpu["utilization"] is not None:
                said.append(f"{gpu['utilization']:.0%} busy,")
            if gpu["memory_used"] is not None:
                used, free = gpu["memory_used"] / GIB, gpu["memory_free"] / GIB
                said.append(f"{used:.1f} of {used + free:.1f} GiB,")
            if gpu["power_w"] is not None:
                said.append(f"{gpu['power_w']:.0f} W,")
            if worker["joules_per_token"] is not None:
                said.append(f"{worker['joules_per_token']:.3g} J/token,")
            if gpu["xid"]:
                said.append(f"Xid {gpu['xid']},")
            yield " ".join(said).rstrip(",:")


def ranges(numbers: list[int]) -> str:
    """Ascending numbers, as Linux writes cores: 0-3,8."""
    ends: list[list[int]] = []
    for number in numbers:
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ends)


def versions(workers: list[dict[str, Any]]) -> Iterator[str]:
    """One line when all agree, else one for each set with the workers that have it."""
    having: dict[str, list[str]] = {}
    for worker in workers:
        listed = ", ".join(f"{name} {version}" for name, version in worker["versions"].items())
        having.setdefault(listed, []).append(worker["worker_id"])
    for listed, ids in having.items():
        yield listed if len(having) == 1 else f"{', '.join(ids)}: {listed}"
