"""`raylax status` against a real server, and its layout."""

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raylax.cluster.address import base_of
from raylax.cluster.cli.status import (
    cores,
    faults,
    gpus,
    progress,
    show,
    state,
    versions,
)
from raylax.cluster.errors import UserError
from raylax.cluster.metrics.replica import MetricsReplica
from raylax.proto.wire.outlook import Outlook
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.worker.hardware.nvml import GpuSample
from tests.support.cluster_answering import Answering
from tests.support.cluster_reports import report
from tests.support.router_rig import running_http, running_router


class OneProcess(MetricsReplica):
    """Metrics where the router asks for the cluster: here without Ray between them."""

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        return []


@pytest.fixture
def metrics() -> OneProcess:
    return OneProcess()


@pytest.fixture
async def url(checkpoint: Path, metrics: OneProcess) -> AsyncIterator[str]:
    async with running_http(Models([RouterConfig("tiny", str(checkpoint), "")]), metrics) as made:
        yield made


async def shown(url: str, as_json: bool = False) -> str:
    """On a terminal of 80 columns."""
    out = io.StringIO()
    await asyncio.to_thread(show, url, as_json, Console(file=out, width=80, color_system=None))
    return out.getvalue()


async def test_a_real_worker_fits_a_line(checkpoint: Path, metrics: OneProcess, url: str) -> None:
    """Nothing is wrapped or cut; the versions stand below."""
    async with running_router(checkpoint) as rig:
        worker = rig.workers[0]
        worker.worker_id = "x7k2m9qa"  # as long as Serve's
        await metrics.report(worker.report(4_194_304, "0123456789abcdef" * 3))
        pages = worker.engine.load().pages_total
        model, head, line, below = (await shown(url)).splitlines()

    assert model.rstrip() == "tiny"
    assert head.split() == [
        "worker", "pid", "node", "address", "state", "KV", "pages", "running", "waiting",
    ]  # fmt: skip
    assert line.split() == [
        "x7k2m9qa", "4194304", "012345", worker.address, "ready", "0%", "of", str(pages), "0", "0",
    ]  # fmt: skip
    assert all(name in below for name in ("raylax 0.", "apache-tvm 0.", "ray 2.", "python 3."))


async def test_a_rank_beyond_the_first_has_a_line(metrics: OneProcess, url: str) -> None:
    """With its process, its host and its cores."""
    shard = {"rank": 1, "host": "10.0.0.2", "pid": 4243, "cores": [3, 4]}
    await metrics.report({**report("a"), "shards": [shard]})
    _, _, _, line, cores, _ = (await shown(url)).splitlines()

    assert line.split() == ["rank", "1", "4243", "10.0.0.2"]
    assert cores == "cores: a 0-2,5 3-4"


async def test_each_worker_stands_below_its_model(metrics: OneProcess, url: str) -> None:
    """Whatever the models are called: a name is no markup, and no command to a terminal."""
    for worker, model in [("a", "two"), ("b", "[bold]one\x1b[2J"), ("c", "two")]:
        await metrics.report({**report(worker), "model": model})
    lines = [line.split()[0] for line in (await shown(url)).splitlines()]

    assert lines[:7] == ["[bold]one[2J", "worker", "b", "two", "worker", "a", "c"]


@pytest.mark.parametrize("workers", ["x", 1, [1], [{}], [{"model": "m", "worker_id": "w"}], None])
async def test_workers_that_are_none(workers: Any) -> None:
    """A server that says something else in JSON is one sentence, too."""
    app = Answering(200, "application/json", json.dumps({"workers": workers}))
    with app.running() as url, pytest.raises(UserError, match="is not what raylax says"):
        await shown(url)


async def test_everything_for_programs(
    metrics: OneProcess, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await metrics.report(report("a"))
    await shown(url, as_json=True)
    (worker,) = json.loads(capsys.readouterr().out)["workers"]

    assert {**worker, "age_s": 0} == json.loads(json.dumps({**report("a"), "age_s": 0}))


async def test_a_model_without_workers_has_its_name_and_what_it_waits_for(
    metrics: OneProcess, url: str
) -> None:
    """As its router tells of it, and the autoscaler."""
    nothing = RouterMeasures(router="r", models={})
    told = RouterReport(router="r", pid=1, node="n", workers={}, held={"tiny": 3}, measures=nothing)
    await metrics.report_router(told.model_dump_json())
    now = time.time()
    metrics._record.expect({
        "tiny": Outlook(0, 1, ordered_at_s=now - 5, start_s=15.0), "gone": Outlook(0, 0, None, 1.0),
    })  # fmt: skip
    name, line = (await shown(url)).splitlines()

    assert name.rstrip() == "tiny"
    assert re.fullmatch(
        r"0 workers, one starting for \d+ s of about 15 s, 3 requests wait", line.rstrip()
    )


async def test_a_cluster_without_workers(url: str) -> None:
    assert len((await shown(url)).splitlines()) == 1


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_be_the_one_that_serve_printed(url: str, suffix: str) -> None:
    assert "worker" in await shown(url + suffix)
    assert base_of(url.removeprefix("http://") + suffix) == url


async def test_a_server_that_is_something_else(url: str) -> None:
    with pytest.raises(UserError, match="no raylax answers at"):
        await shown(f"{url}/elsewhere")


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        ({"ready": 2}, None),
        ({"ready": 2, "held": 9}, None),
        ({"held": 1}, "0 workers, 1 request waits"),
        ({"least": 0}, "0 workers, the next request starts one"),
        ({"starting": 1, "held": 3},
         "0 workers, one starting for 12 s of about 15 s, 3 requests wait"),
        ({"ready": 1, "starting": 2}, "1 worker, 2 starting, the first for 12 s of about 15 s"),
    ],
)  # fmt: skip
def test_what_a_model_waits_for(sums: dict[str, Any], said: str | None) -> None:
    nothing = {"ready": 0, "starting": 0, "held": 0, "least": 1}

    assert progress({**nothing, "starting_s": 12.3, "start_s": 15.2, **sums}) == said


@pytest.mark.parametrize(
    ("how", "age_s", "said"),
    [("ready", 0.9, "ready"), ("loading", 0.2, "pack 40%"), ("ready", 7.2, "silent 7 s")],
)
def test_the_state_is_what_one_wants_to_know(how: str, age_s: float, said: str) -> None:
    assert state({**report("a", how), "age_s": age_s}) == said


def test_why_a_worker_can_no_longer_serve() -> None:
    lost = {**report("b"), "fault": "NVIDIA H200 GPU-1 is lost: the driver says Xid 79"}

    assert list(faults([report("a"), lost])) == [
        "b: NVIDIA H200 GPU-1 is lost: the driver says Xid 79"
    ]


def test_the_cores_of_each_worker() -> None:
    """One line for those that have any of their own."""
    bare = {**report("b"), "cores": []}

    assert list(cores([report("a"), bare, report("c")])) == ["cores: a 0-2,5, c 0-2,5"]
    assert list(cores([bare])) == []


def test_workers_of_different_versions_are_told_apart() -> None:
    """As during a rolling update."""
    old = {**report("b"), "versions": {"raylax": "0.0.9"}}
    first, second = versions([report("a"), old])

    assert first.startswith("a: python 3.")
    assert second == "b: raylax 0.0.9"


def test_a_gpu_is_told_as_far_as_it_tells() -> None:
    whole = asdict(GpuSample("GPU-1", "NVIDIA H200", 0.87, 100 << 30, 39 << 30, 412.4, 9.0, 0, 31))
    mute = asdict(GpuSample("GPU-2", "Part"))
    told = {**report("a"), "gpus": [whole, mute], "joules_per_token": 1.8342}

    assert list(gpus([report("b"), told])) == [
        "a NVIDIA H200 GPU-1: 87% busy, 100.0 of 139.0 GiB, 412 W, 1.83 J/token, Xid 31",
        "a Part GPU-2: 1.83 J/token",
    ]
    assert list(gpus([{**told, "gpus": [mute], "joules_per_token": None}])) == ["a Part GPU-2"]
