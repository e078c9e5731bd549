"""What `raylax top` shows: the requests that run, the longest first."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType

from raylax.cluster.cli.live.overview import add, table

COLUMNS = ("request", "model", "tenant", "worker", "phase", "age s", "prompt", "tokens")


def draw(cluster: dict[str, Any]) -> RenderableType:
    """A table with a line for each."""
    sums = cluster["cluster"]
    title = f"{sums['running']} running, {sums['waiting']} waiting; the longest:"
    made = table(COLUMNS, title)
    for line in lines_of(cluster["requests"]):
        add(made, *line)
    return made


def lines_of(requests: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """The cells of each, by COLUMNS."""
    for one in requests:
        workers = ", ".join(one["workers"]) or None
        yield (
            one["request_id"], one["model"], one["tenant"] or None, workers, one["phase"],
            one["age_s"], one["prompt_tokens"], one["generated_tokens"],
        )  # fmt: skip
