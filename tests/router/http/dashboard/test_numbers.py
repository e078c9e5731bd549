"""What the feed tells: the router's workers, queue and calls, beside what Metrics knows."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.wire.outlook import Outlook
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.http.endpoints.dashboard import OF_A_REPORT
from tests.support.dashboard import ItsWorkers, snapshot
from tests.support.router_rig import PATIENCE_S, Rig, running_http, running_router, until

CHAT = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 100, "ignore_eos": True, "stream": True,
}  # fmt: skip


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """Each test's own, in the place of the one that tests of HTTP share."""
    async with running_router(checkpoint) as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


class SilentMetrics(NoCluster):
    async def cluster(self) -> str:
        raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0)


def models_of(told: dict[str, Any]) -> dict[str, Any]:
    """What the only router says of its models."""
    (router,) = told["routers"]
    models: dict[str, Any] = router["models"]
    return models


async def test_a_worker_is_told_by_the_router_and_by_metrics(rig: Rig) -> None:
    """The load by the router, which is not as old; its configuration by nobody: that is long."""
    async with running_http(rig.models, ItsWorkers(rig)) as url:
        told = await snapshot(url)
    (router,), (report,) = told["routers"], told["reports"]
    load = router["models"]["tiny"]["workers"]["w0"]

    assert load["ready"] and load["pages_total"] == rig.workers[0].engine.load().pages_total
    assert report.keys() == set(OF_A_REPORT)
    assert (report["worker_id"], report["state"]) == ("w0", "ready")


async def test_a_model_says_how_far_its_next_worker_is(rig: Rig) -> None:
    """As Metrics has heard of it."""
    metrics = ItsWorkers(rig)
    metrics.record.expect({"tiny": Outlook(0, 1, time.time() - 5, 20.0)})
    async with running_http(rig.models, metrics) as url:
        told = (await snapshot(url))["models"]["tiny"]

    assert 5 <= told.pop("starting_s") < 20
    assert told == {"ready": 1, "least": 0, "starting": 1, "start_s": 20.0, "held": 0}


async def test_it_goes_on_while_metrics_is_silent(rig: Rig) -> None:
    async with running_http(rig.models, SilentMetrics()) as url:
        told = await snapshot(url)

    assert told["reports"] is told["models"] is None
    assert "w0" in told["routers"][0]["models"]["tiny"]["workers"]


async def test_a_call_is_told_while_it_runs_and_after_it(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """With the queue that it stands in, its worker, and when what happened."""
    rig.workers[0].hold(3)
    async with client.stream("POST", "/v1/chat/completions", json=CHAT) as reply:
        lines = reply.aiter_lines()
        await anext(lines)
        during = await snapshot(rig.url)
        rig.workers[0].let_go()
        async for _ in lines:
            pass
    await until(lambda: all(one.ended_s is not None for one in rig.models.state.timelines.all))
    after = await snapshot(rig.url)
    (running,), (ended,) = during["calls"], after["calls"]
    (attempt,) = running["attempts"]
    row = {"tenant": "", "class": "normal", "held": 0, "sent": 0, "running": 1}

    assert models_of(during)["tiny"]["queue"] == [row]
    assert (during["routers"][0]["running"], after["routers"][0]["running"]) == (1, 0)
    assert (running["model"], attempt["worker"], running["ended_s"]) == ("tiny", "w0", None)
    assert 0 < running["tokens"] < 100
    assert 0 <= attempt["from_s"] <= attempt["first_s"] <= running["now_s"]
    assert models_of(after)["tiny"]["queue"] == []
    assert (ended["id"], ended["tokens"]) == (running["id"], 100)
    assert ended["ended_s"] > running["now_s"]
    assert sum(models_of(after)["tiny"]["ttft"]) == 1


async def test_a_call_without_a_worker_is_told_too(rig: Rig, client: httpx.AsyncClient) -> None:
    """It is held until there is one; when its client leaves, it has ended."""
    await rig.workers[0].die()
    await until(lambda: not rig.router.ready)
    call = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
    await until(lambda: rig.models.state.timelines.all)
    told = await snapshot(rig.url)
    (waiting,), (queue,) = told["calls"], models_of(told)["tiny"]["queue"]
    call.cancel()
    await until(lambda: rig.models.state.timelines.all[0].ended_s is not None)

    assert (waiting["attempts"], waiting["ended_s"]) == ([], None)
    assert (queue["held"], queue["sent"], queue["running"]) == (1, 0, 0)


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
    assert loss["id"].startswith("w0 ") and loss["why"] and 0 <= loss["ago_s"] < PATIENCE_S
