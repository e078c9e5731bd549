"""`raylax trace` against a real server, and what it says where there is nothing to write."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from raylax.cluster.cli.trace import STDOUT, summary, trace
from raylax.cluster.errors import UserError
from tests.support.cluster_answering import Answering
from tests.support.router_rig import PATIENCE_S, Rig, running_router
from tests.support.traces import checked, named

ASK = {"prompt": "abc", "temperature": 0, "max_tokens": 6, "ignore_eos": True}
PROCESS = {"name": "engine", "events_dropped": 0, "clock_error_us": 0.0}


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with (
        running_router(checkpoint, 2, tracing=True, enable_debug=True) as made,
        httpx.AsyncClient(base_url=made.url, timeout=PATIENCE_S) as client,
    ):
        await client.post("/v1/completions", json=ASK)
        yield made


def written_to(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def said(url: str, output: Path) -> str:
    out = io.StringIO()
    await asyncio.to_thread(trace, url, output, Console(file=out, width=80, color_system=None))
    return out.getvalue()


async def test_the_file_has_the_whole_cluster(rig: Rig, tmp_path: Path) -> None:
    """And a line says what is in it, and who shows it."""
    output = tmp_path / "trace.json"
    line = await said(rig.url, output)
    file = checked(output.read_text())

    count = len(file["traceEvents"])
    assert line == (
        f"{output}: {count} events of 1 router, 2 workers; https://ui.perfetto.dev shows it\n"
    )
    assert len(named(file, "decode") + named(file, "verify") + named(file, "prefill")) > 1


async def test_the_standard_output_has_nothing_but_the_file(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await said(rig.url, STDOUT) == ""
    checked(capsys.readouterr().out)


async def test_a_file_that_cannot_be_written(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="/nowhere: cannot be written: Is a directory"):
        (tmp_path / "nowhere").mkdir()
        await said(rig.url, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"enable_debug": False}, "serve with --enable-debug and --enable-tracing"),
        ({"enable_debug": True}, "nothing is traced: serve with --enable-tracing"),
    ],
)
async def test_what_is_to_be_switched_on_is_said(
    checkpoint: Path, tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    async with running_router(checkpoint, **settings) as rig:
        with pytest.raises(UserError, match=expected):
            await said(rig.url, tmp_path / "trace.json")

    assert written_to(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answering(200, "text/html", "<p>Hello</p>"),
        Answering(200, "application/json", json.dumps({"data": [{"id": "x"}]})),
        Answering(200, "application/json", "{}"),
    ],
)
async def test_something_else_that_answers(answer: Answering, tmp_path: Path) -> None:
    """Is taken for what it is, and nothing is written."""
    with answer.running() as url, pytest.raises(UserError, match="no raylax answers at"):
        await said(url, tmp_path / "trace.json")

    assert written_to(tmp_path) == []


def test_what_is_missing_or_doubtful_is_said() -> None:
    """Older events, clocks of other machines, who did not answer; ranks are counted as such."""
    ranks = {**PROCESS, "name": "worker w0, rank 1", "events_dropped": 7, "clock_error_us": 412.0}
    processes = [
        {**PROCESS, "name": "router 10.0.0.1:1"},
        {**PROCESS, "name": "worker w0", "events_dropped": 5},
        ranks,
    ]
    missing = {"worker w1": "it does not answer in time"}
    file = {"traceEvents": [1, 2], "metadata": {"processes": processes, "missing": missing}}

    assert summary(Path("t"), file).splitlines() == [
        "t: 2 events of 1 router, 1 worker, 1 rank; https://ui.perfetto.dev shows it",
        "12 older events had to make room",
        "clocks of other machines may be wrong by 0.412 ms",
        "worker w1 is missing: it does not answer in time",
    ]
