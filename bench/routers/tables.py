"""What the cells come to: a table for each number of engines, and how it stands with the bars."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from engines.report import MOST_OTHERS, table_of
from rich.console import Console
from rich.table import Table

from routers.cells import NOTHING, Cells, Load

DIRECT, OURS, OURS_TWICE, LITELLM, SGLANG = (
    "direct", "raylax", "raylax x2", "litellm", "sglang"
)  # fmt: skip
COLUMNS = (
    "req/s",
    "p50",
    "p99",
    "first",
    "+p50",
    "+p99",
    "cores",
    "req/s\n/core",
    "tok/s\n/core",
)
FIGURES = (
    "requests_per_s", "tokens_per_s", "p50", "p99", "first_p50", "cores", "others",
    "requests_per_core", "tokens_per_core",
)  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """Something promised, and what it is."""

    what: str
    wanted: float
    found: float
    at_most: bool = False

    @property
    def held(self) -> bool:
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def __str__(self) -> str:
        word, sign = "held" if self.held else "missed", "<=" if self.at_most else ">="
        return f"{word}: {self.what} {self.found:,.4g}, wanted {sign} {self.wanted:,g}"


@dataclass(frozen=True)
class Result:
    """Of one number of engines."""

    engines: int
    step_ms: float
    names: list[str]
    cells: Cells

    @property
    def loads(self) -> list[Load]:
        return list(dict.fromkeys(load for load, _ in self.cells))

    def named(self, load: Load) -> list[str]:
        """Who was asked so."""
        return [name for name in self.names if (load, name) in self.cells]

    def added(self, load: Load, name: str, figure: str) -> float:
        if (direct := self.cells.get((load, DIRECT))) is None:
            return NOTHING
        return self.cells[load, name].added(figure, direct)

    def bars(self) -> Iterator[Bar]:
        """As far as this run can tell."""
        for load in self.loads:
            yield from self._bars_at(load)

    def _bars_at(self, load: Load) -> Iterator[Bar]:
        where, names = f"{load.mode} c={load.concurrency}", self.named(load)

        def ratio(figure: str, ours: str, theirs: str) -> float:
            ahead, behind = (self.cells[load, name].median(figure) for name in (ours, theirs))
            return ahead / behind

        if load.mode == "long":
            if OURS in names:
                per_core = self.cells[load, OURS].median("tokens_per_core")
                yield Bar(f"{where}, tokens/s per core", 50_000, per_core)
            return
        if load.concurrency == 1 and OURS in names:
            added = self.added(load, OURS, "p50")
            yield Bar(f"{where}, added to p50, ms:", 2, added, at_most=True)
        if {OURS, LITELLM} <= set(names):
            times = ratio("requests_per_core", OURS, LITELLM)
            yield Bar(f"{where}, requests/s per core, times litellm's:", 10, times)
        if where == "stream c=64" and {OURS_TWICE, SGLANG} <= set(names):
            times = ratio("requests_per_s", OURS_TWICE, SGLANG)
            yield Bar(f"{where}, requests/s of two, times sglang's:", 1, times)

    def as_json(self) -> dict[str, Any]:
        return {
            "engines": self.engines,
            "step_ms": self.step_ms,
            "rows": [self._row_as_json(load, name) for load, name in self.cells],
            "bars": [asdict(bar) | {"held": bar.held} for bar in self.bars()],
        }

    def _row_as_json(self, load: Load, name: str) -> dict[str, Any]:
        cell = self.cells[load, name]
        return {
            **asdict(load),
            "target": name,
            **{figure: known(cell.median(figure)) for figure in FIGURES},
            "added_p50": known(self.added(load, name, "p50")),
            "added_p99": known(self.added(load, name, "p99")),
            "rounds": [one.requests_per_s for one in cell.samples],
            "errors": cell.errors,
        }


def show(console: Console, result: Result) -> None:
    for mode in dict.fromkeys(load.mode for load in result.loads):
        console.print(table(result, [load for load in result.loads if load.mode == mode]))
    for bar in result.bars():
        console.print(str(bar), highlight=False, soft_wrap=True)
    for (load, name), cell in result.cells.items():
        if cell.errors:
            where = f"{load.mode} c={load.concurrency}, {name}"
            said = f"{where}: {len(cell.errors)} failed, for instance {cell.errors[0]!r}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)
    if disturbed := [cell.others for cell in result.cells.values() if cell.others > MOST_OTHERS]:
        console.print(
            f"more than {MOST_OTHERS} cores' worth of other work beside {len(disturbed)} of "
            f"{len(result.cells)} cells: up to {max(disturbed):.1f}",
            soft_wrap=True,
        )


def table(result: Result, loads: Sequence[Load]) -> Table:
    steps = f"steps of {result.step_ms:g} ms" if result.step_ms else "no pause between steps"
    title = f"{loads[0].mode}, {loads[0].tokens} tokens, {result.engines} engines, {steps}"
    made = table_of(title, "", "", *COLUMNS)
    for load in loads:
        for name in result.named(load):
            made.add_row(f"c={load.concurrency}", name, *row(result, load, name))
        made.add_section()
    return made


def row(result: Result, load: Load, name: str) -> list[str]:
    cell = result.cells[load, name]
    asked = [cell.median(figure) for figure in ("requests_per_s", "p50", "p99", "first_p50")]
    if name == DIRECT:
        return [*map(short, asked)]
    added = [result.added(load, name, figure) for figure in ("p50", "p99")]
    per_core = [cell.median(figure) for figure in ("requests_per_core", "tokens_per_core")]
    return [*map(short, asked + added), f"{cell.median('cores'):.2f}", *map(short, per_core)]


def short(figure: float) -> str:
    """Three digits or so: tables are to fit into a terminal."""
    if isnan(figure):
        return ""
    if abs(figure) >= 10_000:
        return f"{figure / 1000:.0f}k"
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.1f}"


def known(figure: float) -> float | None:
    """JSON has no name for what is not known."""
    return None if isnan(figure) else figure
