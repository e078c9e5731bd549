"""The command `raylax replay`: routing policies, or rules of scaling, side by side."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from raylax.cluster.cli.flags import Json


def replay(
    trace: Annotated[Path, typer.Argument(help="Azure's .csv or Mooncake's .jsonl, or .gz.")],
    policy: Annotated[
        str, typer.Option(help="Policies with commas between, or all; the first is compared to.")
    ] = "all",
    load: Annotated[
        str, typer.Option(help="Percent of what the workers can complete, with commas between.")
    ] = "60,80,90,95",
    routers: Annotated[str, typer.Option(help="Numbers of routers, with commas between.")] = "4",
    replicas: Annotated[int, typer.Option(min=1, help="Simulated workers.")] = 8,
    requests: Annotated[int, typer.Option(min=20, help="At most, per worker.")] = 1500,
    arrivals: Annotated[
        str,
        typer.Option(help="superposed: copies at about the trace's own speed; compressed: faster."),
    ] = "superposed",
    report_delay_ms: Annotated[
        float, typer.Option(help="From a step's end until routers know of it.")
    ] = 20.0,
    profile: Annotated[
        str, typer.Option(help="Of an engine: gpu, cpu, a file of JSON, or a cluster's URL.")
    ] = "gpu",
    seed: Annotated[int, typer.Option(help="Of all chance: the same one, the same figures.")] = 0,
    autoscale: Annotated[
        bool,
        typer.Option(
            "--autoscale", help="Compare rules of how many workers there should be, instead."
        ),
    ] = False,
    curve: Annotated[
        str,
        typer.Option(
            help="To scale by: recorded, flat, steps, ramp, spike, idle or daycurve; of all but "
            "the first the trace gives the lengths alone."
        ),
    ] = "recorded",
    copies: Annotated[
        int, typer.Option(min=1, help="How many times each recorded request comes.")
    ] = 10,
    jitter_s: Annotated[
        float, typer.Option(min=0, help="By which a copy comes later, at most.")
    ] = 5.0,
    start_s: Annotated[
        str, typer.Option(help="Seconds that workers take to start, with commas between.")
    ] = "10,60",
    rules: Annotated[
        str, typer.Option(help="Of formula, thresholds, ray-serve, hpa and fixed; or all.")
    ] = "all",
    ttft_ms: Annotated[float, typer.Option(min=1, help="Target for the first token.")] = 1000.0,
    itl_ms: Annotated[float, typer.Option(min=1, help="Target for a mean token.")] = 75.0,
    refuse_late: Annotated[
        bool,
        typer.Option(
            "--refuse-late", help="Refuse whose first token would be late, not only after 60 s."
        ),
    ] = False,
    most: Annotated[int, typer.Option(min=1, help="Workers at most.")] = 24,
    json: Json = False,
) -> None:
    """Compare routing policies: a recorded trace on simulated workers, by the real routing code.
    Or, by --autoscale, rules of how many workers there should be.

    Example: [bold]raylax replay trace.csv.gz --policy expected-latency,round-robin --load 80[/]
    """
    if autoscale:
        from raylax.cluster.simulate.arguments import numbers
        from raylax.cluster.simulate.profile import profile_named
        from raylax.cluster.simulate.scaling import comparison
        from raylax.cluster.simulate.scaling.curves import Curve

        asked = comparison.asked(
            trace, Curve(curve, copies, jitter_s), numbers("--start-s", start_s, float), rules,
            ttft_ms, itl_ms, refuse_late, most, profile_named(profile),
        )  # fmt: skip
        comparison.show(asked, json, Console())
        return
    from raylax.cluster.simulate.arguments import study_of
    from raylax.cluster.simulate.table import show

    study = study_of(
        trace, policy, load, routers, replicas, requests, arrivals, report_delay_ms, profile, seed
    )
    show(study, json, Console())
