"""Workers die, hang, drain and fail; clients see the answers that they would have seen anyway."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from raylax.kernels.errors import DeviceError
from raylax.kernels.model import StepBatch, StepOutput
from raylax.proto.errors import InvalidRequest, Overloaded, RaylaxError
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.serving.worker import DRAIN_S, LINGER_S
from tests.support.damage import damage
from tests.support.outputs import spoiled
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    SteppedWorker,
    running_router,
    until,
)

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TALK = {"messages": [{"role": "user", "content": "tell me a long story"}], "max_tokens": 40}
SEEDED = {**TALK, "temperature": 1.1, "seed": 8}
"""One whose answers are longer than the steps after which workers are lost, with penalties, too."""
ASKS: dict[str, dict[str, Any]] = {
    "greedy": {**TALK, "temperature": 0},
    "seeded": SEEDED,
    "penalties": {**SEEDED, "presence_penalty": 0.5, "frequency_penalty": 0.3},
    "choices": {**SEEDED, "n": 3},
    "logprobs": {**SEEDED, "logprobs": True, "top_logprobs": 2},
    "bias": {**SEEDED, "logit_bias": {"5": 2.0, "9": -3.0}},
}


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """Two workers; requests go to them in turn, so that a test knows where one is."""
    async with running_router(checkpoint, 2, policy="round-robin") as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Every choice of every chunk, in the order of each choice."""
    async with client.stream("POST", CHAT, json={**body, "stream": True}) as reply:
        return choices_of([line async for line in reply.aiter_lines()])


def choices_of(lines: list[str]) -> list[dict[str, Any]]:
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
    chunks = [json.loads(one) for one in data]
    assert not any("error" in chunk for chunk in chunks), chunks[-1]
    return sorted((c for chunk in chunks for c in chunk["choices"]), key=lambda c: c["index"])


def emitted(rig: Rig) -> int:
    """Tokens of the requests on their way, as clients had them."""
    return sum(len(entry.emitted) for entry in rig.service.journal._entries.values())


def holder(rig: Rig) -> SteppedWorker:
    """Who runs the only call."""
    (name,) = {w for entry in rig.service.journal._entries.values() for w in entry.workers}
    return next(worker for worker in rig.workers if worker.worker_id == name)


async def after_tokens(
    rig: Rig, client: httpx.AsyncClient, body: dict[str, Any], tokens: int
) -> "asyncio.Task[list[dict[str, Any]]]":
    """A stream that has got so far, and whose workers are held there."""
    for worker in rig.workers:
        worker.hold(steps=tokens)
    asking = asyncio.create_task(streamed(client, body))
    await until(lambda: asking.done() or emitted(rig) >= body.get("n", 1))
    return asking


@pytest.mark.parametrize("ask", ASKS)
async def test_a_worker_dies_and_the_stream_is_the_same(
    rig: Rig, client: httpx.AsyncClient, ask: str
) -> None:
    """Chunk for chunk: text, log-probabilities, ends."""
    want = await streamed(client, ASKS[ask])
    asking = await after_tokens(rig, client, ASKS[ask], tokens=9)
    lost = holder(rig) if ASKS[ask].get("n", 1) == 1 else rig.workers[0]
    await lost.die()
    for worker in rig.workers:
        worker.let_go()

    assert await asking == want


async def test_stop_strings_hold_across_a_loss(rig: Rig, client: httpx.AsyncClient) -> None:
    """Half of one may have come from the worker that is gone."""
    text = "".join(c["delta"].get("content") or "" for c in await streamed(client, SEEDED))
    body = {**SEEDED, "stop": text[len(text) // 2 :][:4]}
    want = await streamed(client, body)
    asking = await after_tokens(rig, client, body, tokens=9)
    await holder(rig).die()
    for worker in rig.workers:
        worker.let_go()

    assert await asking == want
    assert want[-1]["finish_reason"] == "stop"


async def test_the_last_worker_dies_and_comes_back(rig: Rig, client: httpx.AsyncClient) -> None:
    """A request waits for a worker."""
    want = await streamed(client, SEEDED)
    members = {w.worker_id: w.address for w in rig.workers}
    asking = await after_tokens(rig, client, SEEDED, tokens=9)
    for connection in list(rig.router._connections.values()):
        connection.lose("it is gone")
    for worker in rig.workers:
        worker.let_go()
    await until(lambda: all(not entry.workers for entry in rig.service.journal._entries.values()))
    rig.router.set_members(members)

    assert await asking == want


async def test_a_drained_worker_hands_its_sequences_over_with_their_pages(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """The other one computes only what no full page has."""
    body = {**SEEDED, "messages": [{"role": "user", "content": "a long prompt " * 8}]}
    want = await streamed(client, body)
    for worker in rig.workers:
        await asyncio.to_thread(worker.engine.reset)
    asking = await after_tokens(rig, client, body, tokens=9)
    old = holder(rig)
    new = next(worker for worker in rig.workers if worker is not old)
    rig.router.drain(old.worker_id)
    old.let_go()
    await asyncio.wait_for(old.drained(), PATIENCE_S)

    assert not old.running
    new.let_go()
    assert await asking == want
    assert new.engine.load().cached_tokens > 64
    assert rig.router.ready == [new.worker_id]


async def test_one_that_has_left_the_cluster_hands_over_as_well(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """Serve takes a replica from the members before it tells the replica to end: till then it goes
    on, and then its sequences move with their pages."""
    body = {**SEEDED, "messages": [{"role": "user", "content": "a long prompt " * 8}]}
    want = await streamed(client, body)
    for worker in rig.workers:
        await asyncio.to_thread(worker.engine.reset)
    asking = await after_tokens(rig, client, body, tokens=9)
    old = holder(rig)
    new = next(worker for worker in rig.workers if worker is not old)
    rig.router.set_members({new.worker_id: new.address})
    assert rig.router.ready == [new.worker_id]
    assert holder(rig) is old
    stopping = asyncio.create_task(old.stop())
    for worker in rig.workers:
        worker.let_go()

    assert await asking == want
    await asyncio.wait_for(stopping, DRAIN_S + LINGER_S)
    assert new.engine.load().cached_tokens > 64


async def test_a_worker_that_is_stopped_hands_over_first(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """As when Serve scales down, or puts a new version in its place: within seconds, not when the
    longest answer ends."""
    want = await streamed(client, SEEDED)
    asking = await after_tokens(rig, client, SEEDED, tokens=9)
    old = holder(rig)
    stopping = asyncio.create_task(old.stop())
    for worker in rig.workers:
        worker.let_go()

    assert await asking == want
    await asyncio.wait_for(stopping, DRAIN_S + LINGER_S)
    (timeline,) = list(rig.service.state.timelines._timelines.values())[1:]
    assert "handed over" in [event.name for event in timeline.events]


async def test_a_slow_client_is_parked_and_misses_nothing(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """While it does not read nobody computes for it; when it does, its answer goes on."""
    body = {**SEEDED, "n": 16, "max_tokens": 200, "top_logprobs": 5}
    body |= {"logprobs": True, "ignore_eos": True}
    want = await streamed(client, body)
    small = httpx.AsyncHTTPTransport(
        socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)]
    )
    async with (
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S, transport=small) as slow,
        slow.stream("POST", CHAT, json={**body, "stream": True}) as reply,
    ):
        timeline = list(rig.service.state.timelines._timelines.values())[-1]
        await until(lambda: "parked" in [event.name for event in timeline.events])
        await until(lambda: not any(worker.running for worker in rig.workers))

        assert choices_of([line async for line in reply.aiter_lines()]) == want


def fails_on(worker: SteppedWorker, token: int) -> list[int]:
    """Make each step that computes this token raise; the list counts them."""
    batch, failures = worker.engine._slot.loaded().batch, [0]
    run = batch.run

    def failing(plan: StepPlan) -> StepOutput:
        if np.isin(token, plan.batch.tokens):
            failures[0] += 1
            raise ArithmeticError("poison")
        return run(plan)

    batch.run = failing
    return failures


def says_no_numbers_after(worker: SteppedWorker, token: int) -> None:
    """Make the logits behind this token NaN."""
    batch = worker.engine._slot.loaded().batch
    run = batch.run

    def without_numbers(plan: StepPlan) -> StepOutput:
        return spoiled(run(plan), plan.batch.tokens[plan.batch.rows] == token)

    batch.run = without_numbers


async def test_requests_without_an_answer_are_no_failures_of_workers(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """However many: each is told once, none is tried elsewhere, and workers stay in use."""
    for worker in rig.workers:
        says_no_numbers_after(worker, 60)
    for _ in range(8):
        reply = await client.post(COMPLETIONS, json={"prompt": [7, 9, 60], "max_tokens": 5})
        error = reply.json()["error"]

        assert (reply.status_code, error["code"]) == (500, "request_failed")
        assert "the largest logit is nan, which is not finite" in error["message"]
    breakers = rig.router._breakers.values()

    assert [breaker.failures for breaker in breakers] == [0] * len(rig.workers)
    assert [worker.engine.fault for worker in rig.workers] == [None] * len(rig.workers)


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidRequest("no"), 400), (Overloaded("full", retry_after_s=1.0), 429)]
)
async def test_what_workers_refuse_is_no_failure_of_theirs(
    rig: Rig,
    client: httpx.AsyncClient,
    error: RaylaxError,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Be it the request's own mistake or want of places: the client is told by that error."""

    def refuse(*_: object) -> int:
        raise error

    for worker in rig.workers:
        monkeypatch.setattr(worker.engine, "add_request", refuse)
    for _ in range(4):
        reply = await client.post(COMPLETIONS, json={"prompt": [7, 9], "max_tokens": 5})

        assert (reply.status_code, reply.json()["error"]["message"]) == (status, error.message)
        assert [breaker.failures for breaker in rig.router._breakers.values()] == [0, 0]


async def test_a_worker_whose_memory_goes_bad_is_left(rig: Rig, client: httpx.AsyncClient) -> None:
    """Clients notice nothing: its requests go on elsewhere. And it says why it must be replaced."""
    ask = {**SEEDED, "ignore_eos": True}
    want = await streamed(client, ask)
    damage(rig.workers[0].engine, "norm_f")
    asked = [asyncio.create_task(streamed(client, ask)) for _ in range(4)]

    assert [await one for one in asked] == [want] * 4
    with pytest.raises(RuntimeError, match="weights in the memory of this worker are damaged"):
        rig.workers[0].check()
    rig.workers[1].check()


async def test_a_worker_that_loses_its_device_is_left(rig: Rig, client: httpx.AsyncClient) -> None:
    """In the middle of an answer, which is the same; it says which device must be looked after."""
    want = await streamed(client, SEEDED)
    asking = await after_tokens(rig, client, SEEDED, tokens=9)
    lost = holder(rig)

    def gone(_: StepBatch) -> StepOutput:
        raise DeviceError("CUDA: cudaGraphLaunch: unspecified launch failure (719)", 719)

    executor = lost.engine._slot.loaded().executor
    executor.rank.model.step = gone  # type: ignore[method-assign, assignment]
    for worker in rig.workers:
        worker.let_go()

    assert await asking == want
    with pytest.raises(RuntimeError, match="cpu is lost: CUDA: cudaGraphLaunch"):
        lost.check()
    next(worker for worker in rig.workers if worker is not lost).check()


async def test_a_poisonous_request_fails_alone(
    rig: Rig, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """On two workers; those that shared its steps go on. What went wrong inside is for the log."""
    ask = {"prompt": [7, 8, 9], "max_tokens": 30, "seed": 3, "ignore_eos": True}
    ask["logit_bias"] = {"60": -100.0}  # so that no other comes to say it
    want = (await client.post(COMPLETIONS, json=ask)).json()["choices"]
    failures = [fails_on(worker, 60) for worker in rig.workers]
    innocent = [asyncio.create_task(client.post(COMPLETIONS, json=ask)) for _ in range(4)]
    reply = await client.post(COMPLETIONS, json={**ask, "prompt": [7, 60, 9]})

    assert reply.status_code == 500
    assert reply.json()["error"]["message"].startswith("the engine failed")
    assert any("has failed on w" in one and "poison" in one for one in caplog.messages)
    assert all(count[0] for count in failures)
    assert [(await one).json()["choices"] for one in innocent] == [want] * 4


async def test_a_slow_first_token_is_hedged(checkpoint: Path) -> None:
    """The second worker's token comes first; the first worker is told to stop."""
    async with (
        running_router(checkpoint, 2, policy="round-robin", hedge_share=1.0) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        policy = rig.service.dispatcher.hedge_policy
        want = await streamed(client, SEEDED)
        before = policy.hedged  # on a busy machine that one was late, too
        for worker in rig.workers:
            worker.hold(steps=0)
        asking = asyncio.create_task(streamed(client, SEEDED))
        await until(lambda: rig.service.journal)
        (entry,) = rig.service.journal._entries.values()
        first = entry.workers[0]  # the second may have it already
        slow, other = sorted(rig.workers, key=lambda worker: worker.worker_id != first)
        other.let_go()

        assert await asking == want
        assert policy.hedged == before + 1
        slow.let_go()
        await until(lambda: not slow.running)


async def test_the_timeline_of_a_move_is_told(rig: Rig, client: httpx.AsyncClient) -> None:
    """What happened, in order, and why which worker was chosen."""
    asking = await after_tokens(rig, client, SEEDED, tokens=9)
    await holder(rig).die()
    for worker in rig.workers:
        worker.let_go()
    await asking
    (timeline,) = rig.service.state.timelines._timelines.values()
    names = [event.name for event in timeline.events if event.name != "drafted"]

    assert names == [
        "admitted", "sent", "began", "first token", "lost", "sent", "began", "ended",
    ]  # fmt: skip
    assert sorted(one.chosen for one in timeline.explanations) == ["w0", "w1"]
    lost = timeline.events[names.index("lost")]
    told = timeline.snapshot.for_tenants.events[names.index("lost")]
    assert lost.detail.startswith(f"{told.detail}: ")  # the rest is for admins
    assert told.detail in ("w0 is lost", "w1 is lost")
