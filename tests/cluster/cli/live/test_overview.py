"""What `raylax status --watch` shows."""

import io
import json
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console, RenderableType

from raylax.cluster.cli.live.overview import Overview, bar
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.proto.wire.outlook import Outlook
from raylax.router.observe import measures as m
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.router.observe.metrics import CallMetrics
from raylax.worker.hardware.nvml import GpuSample
from tests.support.cluster_reports import report

NOW = Moment(1e6, 0.0)


def lines(drawn: RenderableType, width: int = 100) -> list[str]:
    """As a terminal shows it."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(drawn)
    return out.getvalue().splitlines()


def cluster_of(*reports: dict[str, Any], router: RouterReport | None = None) -> dict[str, Any]:
    """The body of /cluster."""
    record = ClusterRecord()
    for said in reports:
        record.report(said, NOW)
    if router is not None:
        record.report_router(router, NOW)
    body: dict[str, Any] = json.loads(record.view(NOW).model_dump_json())
    return body


def line_of(drawn: list[str], name: str) -> list[str]:
    (line,) = [line for line in drawn if line.strip().startswith(name)]
    return line.split()


def test_each_worker_has_a_line_and_its_pages_are_a_bar() -> None:
    said = report("a", running=3, waiting=2, queued_tokens=70)
    drawn = lines(Overview().draw(cluster_of(said)))

    assert drawn[0].rstrip() == "tiny"
    assert line_of(drawn, "a ") == ["a", "ready", "██▌░░", "25%", "3", "2", "70", "-", "-"]


def test_rates_are_since_the_last_time() -> None:
    """The first time there are none; a worker that was loaded again has counted nothing less."""
    overview = Overview()

    def rate(second: float, tokens: int) -> str:
        said = {**report("a", generated_tokens=tokens), "time": second}
        return line_of(lines(overview.draw(cluster_of(said))), "a ")[-2]

    rates = [rate(1.0, 100), rate(3.0, 340), rate(4.0, 341), rate(5.0, 0)]
    assert rates == ["-", "120", "1.0", "0.0"]


def test_the_workers_of_a_model_have_a_sum() -> None:
    a, b = report("a", running=3), report("b", "loading", running=1)
    drawn = lines(Overview().draw(cluster_of(a, b, {**report("c"), "model": "other"})))

    assert line_of(drawn, "together")[:4] == ["together", "1", "of", "2"]
    assert line_of(drawn, "together")[7] == "4"
    assert sum("together" in line for line in drawn) == 1


def test_ranks_gpus_and_faults_are_shown() -> None:
    gpu = asdict(GpuSample("GPU-1", "NVIDIA H200", power_w=412.5))
    shard = {"rank": 1, "host": "10.0.0.2", "pid": 7}
    said = {**report("a"), "shards": [shard], "gpus": [gpu], "fault": "rank 1 is gone"}
    drawn = lines(Overview().draw(cluster_of(said)))

    assert line_of(drawn, "a ")[-1] == "412"
    assert line_of(drawn, "rank 1") == ["rank", "1", "10.0.0.2"]
    assert drawn[-1].strip() == "a: rank 1 is gone"


def test_a_router_has_a_line() -> None:
    metrics = CallMetrics("round-robin")
    metrics.inflight = 5
    metrics.counted[m.REFUSED]["rate_limit_exceeded"] = 3
    metrics.counted[m.ATTEMPTS]["lost"] = 2
    measures = RouterMeasures(router="10.0.0.1:7", models={"tiny": metrics.measures(waiting=4)})
    router = RouterReport(router="10.0.0.1:7", pid=1, node="n", workers={}, measures=measures)
    drawn = lines(Overview().draw(cluster_of(report("a"), router=router)))

    assert line_of(drawn, "10.0.0.1:7") == ["10.0.0.1:7", "5", "4", "0", "0", "3", "2"]


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wrapped_on_a_narrow_terminal(width: int) -> None:
    cluster = cluster_of(*(report(f"worker{number:02}") for number in range(5)))

    assert len(lines(Overview().draw(cluster), width)) == len(lines(Overview().draw(cluster), 200))


def test_what_a_model_waits_for_stands_below_it() -> None:
    record = ClusterRecord()
    record.report(report("a"), NOW)
    record.expect({"tiny": Outlook(1, 1, ordered_at_s=NOW.wall - 4, start_s=9.0)})
    drawn = lines(Overview().draw(json.loads(record.view(NOW).model_dump_json())))

    assert drawn[3].rstrip() == "1 worker, one starting for 4 s of about 9 s"


def test_without_a_worker_it_says_so() -> None:
    assert "no worker" in lines(Overview().draw(cluster_of()))[0]


@pytest.mark.parametrize(
    ("used", "cached", "total", "expected"),
    [
        (0, 0, 0, "               "),
        (0, 0, 100, "             0%"),
        (50, 50, 100, "█████░░░░░  50%"),
        (100, 0, 100, "██████████ 100%"),
        (26, 0, 100, "██▋         26%"),
        (99, 30, 100, "█████████▉  99%"),
    ],
)
def test_a_bar_is_as_full_as_what_it_shows(
    used: int, cached: int, total: int, expected: str
) -> None:
    assert bar(used, cached, total) == expected
