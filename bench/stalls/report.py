"""What was found, as a table for people and as JSON for programs."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stalls.engine import Beside, Setting

COLUMNS = (
    "chunk", "target", "beside", "median", "p99", "most", "times", "first", "last", "to 1st",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """An engine under one load. `beside`: prompts, 0 for the quiet stream, and none for a busy
    engine, of which nothing but the tokens a second is known."""

    chunk: int
    target: str
    beside: int | None
    median_ms: float = 0.0
    p99_ms: float = 0.0
    most_ms: float = 0.0
    first_s: float = 0.0
    """The mean until the first token of a prompt."""
    last_s: float = 0.0
    """Until that of the last one."""
    tokens_per_s: float = 0.0

    @property
    def cost(self) -> float:
        """What the engines are compared by: seconds until the last first token, or for a token."""
        return 1 / self.tokens_per_s if self.tokens_per_s else self.last_s


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all is no larger than."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def row_of(setting: Setting, prompts: int, found: Sequence[Beside]) -> Row:
    """All rounds of a load."""
    gaps = [1e3 * gap for one in found for gap in one.gaps_s]
    firsts = [first for one in found for first in one.firsts_s]
    return Row(
        setting.chunk,
        str(setting.target_ms),
        prompts,
        statistics.median(gaps),
        percentile(gaps, 0.99),
        max(gaps),
        statistics.fmean(firsts or [0.0]),
        statistics.fmean([max(one.firsts_s, default=0.0) for one in found]),
    )


def busy_row(setting: Setting, paces: Sequence[float]) -> Row:
    pace = statistics.median(paces)
    return Row(setting.chunk, str(setting.target_ms), None, tokens_per_s=pace)


def new_table() -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="right")
    return table


def add(table: Table, row: Row, quiet: Row, first: Row) -> None:
    """`quiet`: of the same engine; `first`: the first engine under the same load."""
    ratio = f"{row.cost / first.cost:.2f}" if first.cost else ""
    if row.beside is None:
        cells = ["busy", f"{row.tokens_per_s:.0f}/s", "", "", "", "", "", ratio]
    else:
        times = [f"{row.median_ms:.1f}", f"{row.p99_ms:.1f}", f"{row.most_ms:.1f}"]
        firsts = [f"{row.first_s:.2f}", f"{row.last_s:.2f}"] if row.beside else ["", ""]
        over = f"{row.p99_ms / quiet.median_ms:.1f}"
        cells = [f"{row.beside} long" if row.beside else "quiet", *times, over, *firsts, ratio]
    table.add_row(str(row.chunk), row.target, *cells)


def as_json(row: Row, quiet: Row, first: Row) -> dict[str, Any]:
    """The row, and what it is to the quiet stream and to the first engine."""
    times = row.p99_ms / quiet.median_ms
    return asdict(row) | {
        "cost": row.cost,
        "times": times,
        "to_first": row.cost / first.cost if first.cost else None,
    }
