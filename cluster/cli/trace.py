"""What `raylax trace` asks of a router, writes and says of it."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from raylax.cluster.address import NO_PATH, ask, client_of, read, understood
from raylax.cluster.cli.printing import cell
from raylax.cluster.errors import UserError

DUMP = "/debug/dump_event_trace"
TRACE_S = 120.0
"""For all routers and workers to say what they have recorded, which may be a hundred megabytes."""
STDOUT = Path("-")
VIEWER = "https://ui.perfetto.dev"


def trace(url: str, output: Path, console: Console) -> None:
    """Write the cluster's trace to a file, and say what is in it. Raises UserError where nothing is
    traced, and for a file that cannot be written."""
    model = ask(url, "GET", "/v1/models")
    with understood(url):
        name = str(model["data"][0]["id"])
    content = dump(url, name)
    with understood(url):
        said = summary(output, json.loads(content))
    if output == STDOUT:
        sys.stdout.write(content.decode())
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from None
    console.print(cell(said), soft_wrap=True)


def dump(url: str, model: str) -> bytes:
    """The file's content, if it is JSON."""
    with client_of(url, httpx.Timeout(TRACE_S)) as client, understood(url, TRACE_S):
        reply = client.post(DUMP, json={"model": model})
        if reply.status_code == httpx.codes.NOT_FOUND and NO_PATH.encode() in reply.content:
            raise UserError(
                f"{url} does not say where its time goes; serve with --enable-debug and "
                "--enable-tracing"
            )
        read(reply, url)
        return reply.content


def summary(output: Path, file: Any) -> str:
    """What is in it, what is not, and who shows it."""
    told, events = file["metadata"], len(file["traceEvents"])
    kinds = Counter(kind_of(one["name"]) for one in told["processes"])
    counts = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items()]
    lines = [f"{output}: {events} events of {', '.join(counts)}; {VIEWER} shows it"]
    if dropped := sum(one["events_dropped"] for one in told["processes"]):
        lines.append(f"{dropped} older events had to make room")
    doubt = max(one["clock_error_us"] for one in told["processes"])
    if doubt:
        lines.append(f"clocks of other machines may be wrong by {doubt / 1000:.3g} ms")
    lines += [f"{who} is missing: {why}" for who, why in told.get("missing", {}).items()]
    return "\n".join(lines)


def kind_of(process: str) -> str:
    """What a process is, by its name in the file: `worker w0, rank 1` is a rank."""
    return "rank" if ", rank " in process else process.split()[0]
