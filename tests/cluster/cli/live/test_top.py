"""What `raylax top` shows, and how a screen goes on."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from rich.console import Console

from raylax.cluster.cli.live.overview import Overview
from raylax.cluster.cli.live.screen import keep_showing
from raylax.cluster.cli.live.top import draw
from raylax.cluster.errors import UserError
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.observe.measures import RouterMeasures, RouterReport, RunningRequest
from tests.support.router_rig import running_http

NOW = Moment(1e6, 0.0)


def asked(id: str, age_s: float, *workers: str) -> RunningRequest:
    return RunningRequest(
        request_id=id, model="tiny", tenant="ann", workers=list(workers),
        phase="decode" if workers else "waits", age_s=age_s, prompt_tokens=12, generated_tokens=34,
    )  # fmt: skip


class OneRouter(NoCluster):
    """A cluster of a router with these requests; it answers so often, then no more."""

    def __init__(self, *longest: RunningRequest) -> None:
        self._longest, self.answers = [*longest], 2

    async def cluster(self) -> str:
        self.answers -= 1
        assert self.answers >= 0, "it is gone"
        record, measures = ClusterRecord(), RouterMeasures(router="r", models={})
        said = RouterReport(
            router="r", pid=1, node="n", workers={}, longest=self._longest, measures=measures
        )
        record.report_router(said, NOW)
        return record.view(NOW).model_dump_json()


@pytest.fixture
def cluster() -> OneRouter:
    return OneRouter(asked("young", 2.0, "w0"), asked("old", 71.5), asked("mid", 9.0, "w0", "w1"))


@pytest.fixture
async def url(checkpoint: Path, cluster: OneRouter) -> AsyncIterator[str]:
    async with running_http(Models([RouterConfig("tiny", str(checkpoint), "")]), cluster) as made:
        yield made


def stopping_after(times: int) -> Callable[[float], None]:
    """As Ctrl-C does, between two pictures."""
    left = iter(range(times))

    def pause(seconds: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return pause


async def shown(url: str, times: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    await asyncio.to_thread(keep_showing, url, draw, console, stopping_after(times))
    return out.getvalue()


async def test_the_longest_request_stands_first(url: str) -> None:
    """Where it runs, and how far it has come."""
    last = (await shown(url, 0)).rsplit("request", 1)[1]
    lines = [line.split() for line in last.splitlines()]
    ids = [line[0] for line in lines if line and line[0] in ("young", "old", "mid")]
    (mid,) = [line for line in lines if line and line[0] == "mid"]

    assert ids == ["old", "mid", "young"]
    assert mid == ["mid", "tiny", "ann", "w0,", "w1", "decode", "9.0", "12", "34"]


async def test_it_is_drawn_anew_until_it_is_interrupted(url: str, cluster: OneRouter) -> None:
    await shown(url, 1)

    assert cluster.answers == 0


async def test_while_nobody_answers_the_last_picture_stays(url: str) -> None:
    """With the reason below it."""
    last = (await shown(url, 2)).rsplit("request", 1)[1]

    assert "old" in last
    assert "the router failed" in last


async def test_where_nobody_answers_from_the_start_it_ends(url: str) -> None:
    with pytest.raises(UserError, match="no raylax answers at"):
        await asyncio.to_thread(
            keep_showing, f"{url}/elsewhere", Overview().draw, Console(), stopping_after(0)
        )
