"""A line-up's results, as tables for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from engines.base import Load
from engines.machine import Limits
from engines.rounds import Cell
from engines.work import Work

MOST_OTHERS = 0.2
"""Cores' worth of others' work beside a measurement that one should not believe."""


@dataclass(frozen=True)
class Row:
    """A load, and what each engine does under it."""

    load: Load
    cells: list[Cell]
    kept: list[float]
    """The share of its speed that each engine keeps beside a rival; empty where there was none."""

    @property
    def figures(self) -> list[float]:
        return [cell.tokens_per_s for cell in self.cells]


@dataclass(frozen=True)
class Result:
    """Raylax first, then its peers."""

    names: list[str]
    work: Work
    limits: Limits
    rows: list[Row] = field(default_factory=list)

    @property
    def peak_mb(self) -> list[float]:
        columns = zip(*(row.cells for row in self.rows), strict=True)
        return [max(cell.peak_mb for cell in column) for column in columns]

    def disturbed(self) -> list[str]:
        """Where too much else ran."""
        return [
            f"{row.load.name}, {name}: {cell.others:.1f}"
            for row in self.rows
            for name, cell in zip(self.names, row.cells, strict=True)
            if cell.others > MOST_OTHERS
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "engines": self.names,
            "limits": asdict(self.limits),
            "work": asdict(self.work),
            "rows": [self._row_as_json(row) for row in self.rows],
            "peak_mb": self.peak_mb,
        }

    def _row_as_json(self, row: Row) -> dict[str, Any]:
        share = self.work.share(row.load, row.figures[0], self.limits)
        return {
            "load": row.load.name,
            "tokens_per_s": row.figures,
            "rounds": [[one.found.tokens_per_s for one in cell.samples] for cell in row.cells],
            "others": [cell.others for cell in row.cells],
            "share": share[0] if share else None,
            "ratios": ratios(row.figures),
            "kept_beside_a_rival": row.kept,
        }


def ratios(figures: Sequence[float], most: bool = True) -> list[float]:
    """The first to each other one, and to the better of them: the larger, or the smaller one."""
    ours, peers = figures[0], figures[1:]
    if len(peers) < 2:
        return [ours / peer for peer in peers]
    return [ours / peer for peer in (*peers, max(peers) if most else min(peers))]


def show(console: Console, result: Result) -> None:
    console.print(speeds(result))
    console.print(str(result.limits), soft_wrap=True)
    if found := result.disturbed():
        console.print(f"cores' worth of other work beside a measurement: {'; '.join(found)}")
    if any(row.kept for row in result.rows):
        console.print(kept(result))


def speeds(result: Result) -> Table:
    first, *peers = (name.split()[0] for name in result.names)
    against = [f"to\n{peer}" for peer in peers] + ["to the\nbetter"] * (len(peers) > 1)
    table = table_of(", ".join(result.names), "tok/s", first, "limit", *peers, *against)
    for row in result.rows:
        share = result.work.share(row.load, row.figures[0], result.limits)
        ours, *theirs = (f"{figure:.0f}" for figure in row.figures)
        limit = f"{share[0]:.0%} {share[1]}" if share else ""
        table.add_row(row.load.name, ours, limit, *theirs, *told(ratios(row.figures)))
    table.add_section()
    ours, *theirs = (f"{peak:.0f}" for peak in result.peak_mb)
    table.add_row("peak MB", ours, "", *theirs, *told(ratios(result.peak_mb, most=False)))
    return table


def kept(result: Result) -> Table:
    title = "of their speed, beside a process that took one core"
    table = table_of(title, "kept", *(name.split()[0] for name in result.names))
    for row in result.rows:
        table.add_row(row.load.name, *(f"{share:.0%}" for share in row.kept))
    return table


def table_of(title: str, *columns: str) -> Table:
    """Narrow enough for any terminal: what the engines run stands on top."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = False
    for name in columns:
        table.add_column(name, justify="right" if table.columns else "left")
    return table


def told(figures: Sequence[float]) -> list[str]:
    return [f"{figure:.2f}" for figure in figures]
