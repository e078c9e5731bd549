"""A trace of a cluster: routers, workers and ranks in one file, on one clock."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.proto.event_trace import chrome_file
from raylax.router.http.sending import PIECE_BYTES
from tests.support.router_rig import PATIENCE_S, Rig, a_router, running_router, until
from tests.support.traces import checked, named, spans_of

PLAIN = "/v1/completions"
ASK: dict[str, Any] = {"prompt": "abc", "temperature": 0, "max_tokens": 6, "ignore_eos": True}


@pytest.fixture
async def two(checkpoint: Path) -> AsyncIterator[tuple[Rig, Rig]]:
    """Routers, with the same two workers."""
    async with (
        running_router(checkpoint, 2, tracing=True, enable_debug=True) as one,
        a_router(one.models.config, one.workers) as other,
    ):
        addresses = {one.models.peers.address, other.models.peers.address}
        await until(lambda: one.models.peers._others | other.models.peers._others == addresses)
        yield one, other


async def ask(rig: Rig, **more: Any) -> str:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        return str((await client.post(PLAIN, json={**ASK, **more})).json()["id"])


async def dump(rig: Rig, **body: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        return await client.post("/debug/dump_event_trace", json=body)


def process_names(file: dict[str, Any]) -> list[str]:
    return [one["name"] for one in file["metadata"]["processes"]]


def outermost(file: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What has an id that begins so."""
    events = [e for e in file["traceEvents"] if e["ph"] == "b" and e["id"].startswith(name)]
    return [event for event in events if event["name"] == event["id"]]


def ended(file: dict[str, Any], event: dict[str, Any]) -> float:
    (end,) = [
        e for e in file["traceEvents"] if e["ph"] == "e" and e["name"] == e["id"] == event["id"]
    ]
    return float(end["ts"])


async def test_routers_and_workers_are_in_one_file(two: tuple[Rig, Rig]) -> None:
    """Whichever router is asked. A call of one of them, and what its worker did for it, within the
    attempt; the engine's own times lie within those that the router has heard of."""
    one, other = two
    call = await ask(one)
    reply = await dump(other, model="tiny")
    file = checked(reply.content)
    peers = [rig.models.peers.address for rig in (other, one)]
    (attempt,) = outermost(file, f"{call}/0/0 at ")
    (computed,) = outermost(file, f"{call}/0/0#")

    assert reply.headers["content-type"] == "application/json"
    assert process_names(file) == [
        f"router {peers[0]}", f"router {peers[1]}", "worker w0", "worker w1",
    ]  # fmt: skip
    assert spans_of(file, call) == [call, "admitted", "sent", "began", "first token"]
    assert attempt["args"]["call"] == call
    assert attempt["ts"] <= computed["ts"] <= ended(file, computed) <= ended(file, attempt)
    assert spans_of(file, attempt["id"])[1:] == ["engine.queue", "engine.prefill", "engine.decode"]
    assert spans_of(file, computed["id"])[1:3] == ["queue", "prefill"]
    assert {one["clock_error_us"] for one in file["metadata"]["processes"]} == {0}
    assert "missing" not in file["metadata"]


async def test_clocks_of_other_machines_are_measured(
    two: tuple[Rig, Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By round trips, of routers and workers. They are the same one in truth, so that nothing is
    what is found, as far as that may be wrong; and a call is where it was."""
    one, other = two
    call = await ask(one)
    names = iter(f"machine {number}" for number in range(1000))
    monkeypatch.setattr("raylax.proto.event_trace.own_clock", lambda: next(names))
    file = checked((await dump(other, model="tiny")).content)
    _, router, *workers = file["metadata"]["processes"]
    (attempt,), (computed,) = outermost(file, f"{call}/0/0 at "), outermost(file, f"{call}/0/0#")

    for process in (router, *workers):
        assert 0 < process["clock_error_us"] < 1e6
        assert abs(process["clock_offset_us"]) <= process["clock_error_us"]
    doubt = router["clock_error_us"] + max(one["clock_error_us"] for one in workers)
    assert attempt["ts"] - doubt <= computed["ts"] <= ended(file, attempt) + doubt


async def test_who_does_not_answer_is_named(two: tuple[Rig, Rig]) -> None:
    """The rest is told all the same."""
    one, other = two
    dead = other.workers[1]
    connection = other.router._connections[dead.worker_id]
    connection.address = "127.0.0.1:1"
    other.models.peers.heard([one.models.peers.address, "127.0.0.1:1"])
    file = checked((await dump(other, model="tiny")).content)

    assert [name.split()[0] for name in process_names(file)] == ["router", "router", "worker"]
    assert set(file["metadata"]["missing"]) == {"router 127.0.0.1:1", f"worker {dead.worker_id}"}


async def test_a_call_that_goes_on_has_no_end(two: tuple[Rig, Rig]) -> None:
    one, _ = two
    for worker in one.workers:
        worker.hold(steps=1)
    async with (
        httpx.AsyncClient(base_url=one.url, timeout=PATIENCE_S) as client,
        client.stream("POST", PLAIN, json={**ASK, "stream": True}) as reply,
    ):
        await anext(reply.aiter_lines())
        call = reply.headers["X-Raylax-Call-Id"]
        calls = checked(chrome_file([one.models.own_trace()]))
    for worker in one.workers:
        worker.let_go()

    assert [event["ph"] for event in calls["traceEvents"] if event["name"] == call] == ["b"]


async def test_a_large_file_needs_no_room_of_other_answers(checkpoint: Path) -> None:
    """It leaves in pieces, of which none waits."""
    async with running_router(
        checkpoint, tracing=True, enable_debug=True, max_answers_bytes=1
    ) as rig:
        trace = rig.workers[0].engine.trace
        assert trace is not None
        for _ in range(2000):
            with trace.doing("something"):
                pass
        reply = await dump(rig, model="tiny")

    assert len(reply.content) > 2 * PIECE_BYTES
    assert len(named(checked(reply.content), "something")) == 2000


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [({}, 400, "model: Field required"), ({"model": "other"}, 404, "there is tiny")],
)
async def test_a_model_is_named_as_mlc_has_it(
    two: tuple[Rig, Rig], body: dict[str, Any], status: int, said: str
) -> None:
    reply = await dump(two[0], **body)

    assert reply.status_code == status
    assert said in reply.json()["error"]["message"]
