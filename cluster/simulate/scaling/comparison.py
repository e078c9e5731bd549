"""What `raylax replay --autoscale` runs and shows: each rule beside who knows the future."""

import json
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path

from rich.console import Console

from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.errors import UserError
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.scaling.curves import Curve
from raylax.cluster.simulate.scaling.oracle import plan_for
from raylax.cluster.simulate.scaling.plan import first_of, merged, planned
from raylax.cluster.simulate.scaling.rows import FleetSettings
from raylax.cluster.simulate.scaling.rules import Rule, fixed, formula, hpa, ray_serve, thresholds
from raylax.cluster.simulate.scaling.run import ScalingOutcome, run
from raylax.cluster.simulate.table import placed, progress_of
from raylax.cluster.simulate.trace import read_trace

ORACLE, FIXED = "oracle", "fixed"
RULES: dict[str, Callable[[Targets], Rule]] = {
    "formula": formula,
    "thresholds": lambda _: thresholds(),
    "ray-serve": lambda _: ray_serve(),
    "hpa": lambda _: hpa(),
}
"""Each made anew for a run. `fixed` is at the oracle's peak."""
COLUMNS = {
    "start": 6, "rule": 10, "hours": 7, "ratio": 6, "missed": 7, "turns/h": 7, "starts/h": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is asked for."""

    trace: Path
    curve: Curve
    starts_s: tuple[float, ...]
    rules: tuple[str, ...]
    targets: Targets
    refuse_late: bool
    """Whether who would miss the target is refused, not only who would wait for longer than
    anybody may."""
    most: int
    profile: Profile

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule not in (*RULES, FIXED):
                known = ", ".join((*RULES, FIXED))
                raise UserError(f"--rules must be all, or some of {known}, found {rule}")


def asked(
    trace: Path,
    curve: Curve,
    starts_s: tuple[float, ...],
    rules: str,
    ttft_ms: float,
    itl_ms: float,
    refuse_late: bool,
    most: int,
    profile: Profile,
) -> Comparison:
    """What a command line asks for; names are those of its options. Raises UserError."""
    names = (*RULES, FIXED) if rules == "all" else tuple(dict.fromkeys(rules.split(",")))
    targets = Targets(ttft_ms / 1000, itl_ms / 1000)
    profile = replace(profile, itl_s=targets.itl_s)  # as engines are told that have the target
    return Comparison(trace, curve, starts_s, names, targets, refuse_late, most, profile)


@dataclass(frozen=True, slots=True)
class Row:
    """One rule with one start-up time."""

    start_s: float
    rule: str
    hours: float
    ratio: float
    """Of its hours to the oracle's."""
    missed: float
    """Share of the requests that were late or refused."""
    turns_per_hour: float
    starts_per_hour: float


def rows_of(asked: Comparison, said: Callable[[str], None]) -> Generator[Row]:
    """One by one, as they are known; of each start-up time the oracle first, with whose workers all
    rules begin. `said`: hears what is done."""
    requests, targets = asked.curve.requests(read_trace(asked.trace)), asked.targets
    limit_s = min(targets.ttft_s if asked.refuse_late else inf, targets.wait_limit_s)
    base = FleetSettings(asked.profile, 0.0, 1, asked.most, limit_s)
    plan = plan_for(requests, base, targets, said)
    for start_s in asked.starts_s:
        full = merged(plan, start_s)
        settings, peak = replace(base, start_s=start_s, first=first_of(full, start_s)), full.max()
        said(f"oracle, starts of {start_s:g} s")
        patient = replace(settings, max_wait_s=inf)
        best = run(requests, patient, targets, planned(full, start_s))
        yield row(start_s, ORACLE, best, best)
        for name in asked.rules:
            said(f"{name}, starts of {start_s:g} s")
            if name == FIXED:
                there = replace(settings, first=int(peak))
                outcome = run(requests, there, targets, fixed(int(peak)))
            else:
                outcome = run(requests, settings, targets, RULES[name](targets))
            yield row(start_s, name, outcome, best)


def row(start_s: float, name: str, outcome: ScalingOutcome, best: ScalingOutcome) -> Row:
    hours = outcome.seconds / 3600
    return Row(
        start_s, name, outcome.hours, outcome.hours / best.hours, outcome.missed,
        outcome.turns / hours, outcome.starts / hours,
    )  # fmt: skip


def show(asked: Comparison, as_json: bool, console: Console) -> None:
    """Runs it. Raises UserError."""
    rows: list[Row] = []
    with progress_of(len(asked.starts_s) * (len(asked.rules) + 1), console) as progress:
        if not as_json:
            console.print(line(*COLUMNS), style="bold", highlight=False)
        for found in rows_of(asked, progress.says):
            rows.append(found)
            progress.one_more()
            if not as_json:
                console.print(shown(found), highlight=False)
    if as_json:
        print(json.dumps([asdict(found) for found in rows], indent=2))


def shown(found: Row) -> str:
    return line(
        f"{found.start_s:g} s",
        found.rule,
        f"{found.hours:.2f}",
        f"{found.ratio:.2f}",
        f"{found.missed:.1%}",
        f"{found.turns_per_hour:.0f}",
        f"{found.starts_per_hour:.0f}",
    )


def line(*cells: str) -> str:
    """Cells below their columns' heads."""
    return placed(COLUMNS, "rule", cells)
