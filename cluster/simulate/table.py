"""What `raylax replay` shows: a table that fits 80 columns, or JSON."""

import json
from dataclasses import asdict

from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from raylax.cluster.simulate.replay import Outcome
from raylax.cluster.simulate.study import Run, Study, run_all

COLUMNS = ("load", "routers", "policy", "TTFT", "p99", "ITL", "cached", "ratio")


def show(study: Study, as_json: bool, console: Console) -> None:
    """Runs it, with a bar on a terminal."""
    errors = Console(stderr=True)
    bars = Progress(
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    with bars:
        bar = bars.add_task("")
        outcomes = run_all(study, lambda done, all: bars.update(bar, completed=done, total=all))
    if as_json:
        rows = [{**asdict(run), **asdict(outcome)} for run, outcome in outcomes.items()]
        print(json.dumps(rows, indent=2))
    else:
        console.print(table_of(study, outcomes))


def table_of(study: Study, outcomes: dict[Run, Outcome]) -> Table:
    """A section for each load and number of routers. TTFT and ITL are means, the ratio is that
    of the mean TTFT to the first policy's."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in COLUMNS:
        justify: JustifyMethod = "left" if column == "policy" else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for run, outcome in outcomes.items():
        first = outcomes[Run(run.load, run.routers, study.policies[0])]
        table.add_row(
            f"{run.load:g} %",
            str(run.routers),
            run.policy,
            f"{outcome.ttft_mean:.3f} s",
            f"{outcome.ttft_p99:.3f} s",
            f"{outcome.itl_mean * 1000:.1f} ms",
            f"{outcome.cached:.0%}",
            f"{outcome.ttft_mean / first.ttft_mean:.2f}",
            end_section=run.policy == study.policies[-1],
        )
    return table
