"""What the feed tells: the router's workers, queue and calls, beside what Metrics knows."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.proto.errors import WorkerUnavailable
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.http.endpoints.dashboard import OF_A_REPORT
from raylax.router.observe.measures import RouterMeasures, RouterReport, RunningRequest
from tests.support.dashboard import ItsWorkers, moment
from tests.support.router_rig import PATIENCE_S, Rig, running_http, running_router, until

CHAT = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 100, "ignore_eos": True, "stream": True,
}  # fmt: skip


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint) as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


class SilentMetrics(NoCluster):
    async def cluster(self) -> str:
        raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0)


async def snapshot(url: str) -> dict[str, Any]:
    """The first one of a feed."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
        client.stream("GET", "/dashboard/events") as reply,
    ):
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                told: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return told
    raise AssertionError("the feed told nothing")


async def test_a_worker_is_told_by_the_router_and_by_metrics(rig: Rig) -> None:
    """The load by the router, which is not as old; its configuration by nobody: that is long."""
    async with running_http(rig.models, ItsWorkers(rig)) as url:
        told = await snapshot(url)
    (router,), (report,) = told["routers"], told["reports"]
    load = router["models"]["tiny"]["workers"]["w0"]

    assert load["ready"] and load["pages_total"] == rig.workers[0].engine.load().pages_total
    assert report.keys() == set(OF_A_REPORT)
    assert (report["worker_id"], report["state"]) == ("w0", "ready")


async def test_it_goes_on_while_metrics_is_silent(rig: Rig) -> None:
    async with running_http(rig.models, SilentMetrics()) as url:
        told = await snapshot(url)

    assert told["reports"] is None
    assert "w0" in told["routers"][0]["models"]["tiny"]["workers"]


async def test_a_call_is_told_while_it_runs_and_after_it(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """With the queue that it stands in, its worker, and when what happened."""
    rig.workers[0].hold(3)
    async with client.stream("POST", "/v1/chat/completions", json=CHAT) as reply:
        lines = reply.aiter_lines()
        await anext(lines)
        during = (await snapshot(rig.url))["routers"][0]
        rig.workers[0].let_go()
        async for _ in lines:
            pass
    await until(lambda: all(one.ended_s is not None for one in rig.models.state.timelines.all))
    after = (await snapshot(rig.url))["routers"][0]
    (running,), (ended,) = during["calls"], after["calls"]
    (attempt,) = running["attempts"]
    row = {"tenant": "", "class": "normal", "held": 0, "sent": 0, "running": 1}

    assert during["models"]["tiny"]["queue"] == [row]
    assert (running["model"], attempt["worker"], running["ended_s"]) == ("tiny", "w0", None)
    assert 0 < running["tokens"] < 100
    assert 0 <= attempt["from_s"] <= attempt["first_s"] <= running["now_s"]
    assert after["models"]["tiny"]["queue"] == []
    assert (ended["id"], ended["tokens"]) == (running["id"], 100)
    assert ended["ended_s"] > running["now_s"]
    assert sum(after["models"]["tiny"]["ttft"]) == 1


async def test_a_call_without_a_worker_is_told_too(rig: Rig, client: httpx.AsyncClient) -> None:
    """It waits for one; when its client leaves, it has ended."""
    await rig.workers[0].die()
    await until(lambda: not rig.router.ready)
    call = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
    await until(lambda: rig.models.state.timelines.all)
    (waiting,) = (await snapshot(rig.url))["routers"][0]["calls"]
    call.cancel()
    await until(lambda: rig.models.state.timelines.all[0].ended_s is not None)

    assert (waiting["attempts"], waiting["ended_s"]) == ([], None)


async def test_a_call_of_another_router_is_told_as_metrics_knows_it(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """And none of this router's twice, which Metrics knows, too."""
    await client.post("/v1/chat/completions", json=CHAT)
    (ours,) = rig.models.state.timelines.all
    metrics = ItsWorkers(rig)
    longest = [
        RunningRequest(
            request_id=f"{call}/0/0", model="tiny", tenant="acme", workers=["w0"],
            phase="decode", age_s=3.5, prompt_tokens=9, generated_tokens=70,
        )
        for call in ("theirs", ours.call_id)
    ]  # fmt: skip
    measures = RouterMeasures(router="127.0.0.1:1", models={})
    told = RouterReport(
        router="127.0.0.1:1", pid=1, node="n", workers={}, longest=longest, measures=measures
    )
    metrics.record.report_router(told, moment())
    async with running_http(rig.models, metrics) as url:
        (theirs,) = (await snapshot(url))["elsewhere"]

    assert (theirs["id"], theirs["tenant"], theirs["phase"]) == ("theirs", "acme", "decode")
    assert (theirs["tokens"], theirs["now_s"]) == (70, 3.5)


@pytest.mark.parametrize("drains", [False, True])
async def test_a_worker_that_goes_is_told_with_the_reason(rig: Rig, drains: bool) -> None:
    if drains:
        rig.router.set_members({})
        await rig.workers[0].stop()
    else:
        await rig.workers[0].die()
    await until(lambda: rig.router.losses)
    told = (await snapshot(rig.url))["routers"][0]["models"]["tiny"]
    (loss,) = told["losses"]

    assert (loss["worker"], loss["drained"], told["workers"]) == ("w0", drains, {})
    assert loss["why"] and 0 <= loss["ago_s"] < PATIENCE_S
