"""What `raylax replay` shows: a table that fits 80 columns, row by row as they come, or JSON."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from raylax.cluster.simulate.replay import Outcome
from raylax.cluster.simulate.study import Run, Study, capacity, run_all, runs_of

COLUMNS = {
    "load": 5, "routers": 7, "policy": 16, "TTFT": 9, "p99": 9, "ITL": 9, "cached": 6, "ratio": 5,
}  # fmt: skip
"""And how wide they are, since no row waits for the widest one."""


class ReplayProgress:
    """How far a study is: on a terminal a bar, elsewhere lines on the error output."""

    def __init__(self, bars: Progress, total: int) -> None:
        self._bars, self._total, self._done = bars, total, 0
        self._task = bars.add_task("", total=total)
        self._begun = time.monotonic()

    def says(self, what: str) -> None:
        """What is done now."""
        self._bars.update(self._task, description=what)
        self._line(what)

    def one_more(self) -> None:
        """A run has ended."""
        self._done += 1
        self._bars.update(self._task, completed=self._done)
        self._line(f"{self._done} of {self._total} runs")

    def _line(self, what: str) -> None:
        if self._bars.disable:
            passed = time.monotonic() - self._begun
            self._bars.console.print(f"[{passed:5.1f} s] {what}", highlight=False, markup=False)


@contextmanager
def progress_of(total: int, console: Console) -> Iterator[ReplayProgress]:
    """Below the rows where they go to the terminal as well."""
    shown = console if console.is_terminal else Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, TimeElapsedColumn(), console=shown, transient=True, disable=not shown.is_terminal
    ) as bars:
        yield ReplayProgress(bars, total)


def show(study: Study, as_json: bool, console: Console) -> None:
    """Runs it. Raises UserError."""
    outcomes: dict[Run, Outcome] = {}
    with ExitStack() as stack:
        progress = stack.enter_context(progress_of(len(runs_of(study)), console))
        progress.says("measuring what 100 % load is")
        rate = capacity(study)
        progress.says("replaying")
        if not as_json:
            console.print(line(*COLUMNS), style="bold", highlight=False)
        # Ctrl-C may come anywhere: what runs must end before anything waits for it.
        for run, outcome in stack.enter_context(closing(run_all(study, rate))):
            outcomes[run] = outcome
            progress.one_more()
            if not as_json:
                first = outcomes[Run(run.load, run.routers, study.policies[0])]
                console.print(row(run, outcome, first), highlight=False)
    if as_json:
        rows = [{**asdict(run), **asdict(outcome)} for run, outcome in outcomes.items()]
        print(json.dumps(rows, indent=2))


def row(run: Run, outcome: Outcome, first: Outcome) -> str:
    """TTFT and ITL are means, the ratio is that of the mean TTFT to the first policy's."""
    return line(
        f"{run.load:g} %",
        str(run.routers),
        run.policy,
        f"{outcome.ttft_mean:.3f} s",
        f"{outcome.ttft_p99:.3f} s",
        f"{outcome.itl_mean * 1000:.1f} ms",
        f"{outcome.cached:.0%}",
        f"{outcome.ttft_mean / first.ttft_mean:.2f}",
    )


def line(*cells: str) -> str:
    """Cells below their columns' heads."""
    return placed(COLUMNS, "policy", cells)


def placed(columns: Mapping[str, int], words: str, cells: Sequence[str]) -> str:
    """Cells in columns of these widths: the one of `words` to the left, numbers to the right."""
    return "  ".join(
        cell.ljust(width) if name == words else cell.rjust(width)
        for (name, width), cell in zip(columns.items(), cells, strict=True)
    )
