"""Looking into engines over HTTP, as MLC-LLM has it: /debug and `debug_config`."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from raylax.router.access.keys import Key, hash_of
from tests.support.router_rig import PATIENCE_S, Rig, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAIN, CHAT = "/v1/completions", "/v1/chat/completions"
ASK: dict[str, Any] = {"prompt": "abc", "temperature": 0, "max_tokens": 6, "ignore_eos": True}
METRICS = {
    "stream": True, "stream_options": {"include_usage": True},
    "debug_config": {"special_request": "query_engine_metrics"},
}  # fmt: skip
SUMS = ("prompt_tokens_sum", "completion_tokens_sum", "prefill_tokens_sum", "decode_tokens_sum")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, count=2, enable_debug=True) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


def events(reply: httpx.Response) -> list[Any]:
    """Of a stream, without its end."""
    lines = [line[6:] for line in reply.text.splitlines() if line]
    assert (reply.status_code, lines[-1]) == (200, "[DONE]")
    return [json.loads(line) for line in lines[:-1]]


async def debug(client: httpx.AsyncClient, name: str, **body: Any) -> Any:
    reply = await client.post(f"/debug/{name}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_what_engines_have_done(client: httpx.AsyncClient) -> None:
    """All of them together, and each; by an endpoint as by a request."""
    assert sorted((await debug(client, "reset_engine", model="tiny"))["workers"]) == ["w0", "w1"]
    await asyncio.gather(*(client.post(PLAIN, json=ASK) for _ in range(8)))
    numbers = await debug(client, "dump_engine_metrics", model="tiny")
    (chunk,) = events(await client.post(PLAIN, json={"prompt": "", **METRICS}))
    asked = {"messages": [{"role": "user", "content": ""}], **METRICS}
    (same,) = events(await client.post(CHAT, json=asked))

    assert [numbers[name] for name in SUMS] == [24, 48, 24, 40]
    assert sum(one["completion_tokens_sum"] for one in numbers["workers"].values()) == 48
    assert numbers["decode_tokens_per_s"] == 40 / numbers["engine_decode_time_sum"]
    assert chunk["choices"] == same["choices"] == []
    assert chunk["usage"]["extra"] == same["usage"]["extra"] == numbers


async def test_who_changed_an_engine_is_noted(checkpoint: Path) -> None:
    """By the name of the key; who only looked, or was refused, is not."""
    keys = [Key("alice", hash_of("hers")), Key("root", hash_of("his"), admin=True)]
    async with (
        running_router(checkpoint, keys=keys, enable_debug=True) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):

        async def ask(path: str, secret: str, **body: Any) -> int:
            headers = {"Authorization": f"Bearer {secret}"}
            return (await client.post(path, json=body, headers=headers)).status_code

        statuses = [
            await ask("/debug/reset_engine", "hers", model="tiny"),
            await ask("/debug/reset_engine", "his", model="tiny"),
            await ask("/debug/dump_engine_metrics", "his", model="tiny"),
            await ask("/debug/sleep", "his", level=2),
            await ask("/debug/is_sleeping", "his"),
            await ask("/cluster/drain/w9", "his"),
            await ask("/cluster/drain/w0", "his"),
        ]
        noted = [(act.who, act.what) for act in rig.models.state.acts.last]

    assert statuses == [403, 200, 200, 200, 200, 404, 200]
    assert noted == [
        ("root", "reset of tiny"), ("root", "sleep deeply of tiny"), ("root", "drain w0")
    ]  # fmt: skip


async def test_of_one_worker_the_numbers_are_its_own(checkpoint: Path) -> None:
    async with (
        running_router(checkpoint, enable_debug=True) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        await client.post(PLAIN, json=ASK)
        numbers = await debug(client, "dump_engine_metrics", model="tiny")

    assert numbers == json.loads(json.dumps(rig.workers[0].engine.metrics()))
    assert numbers["last_finished_request"]["completion_tokens"] == 6


async def test_a_call_goes_on_when_its_engine_is_reset(rig: Rig, client: httpx.AsyncClient) -> None:
    """What was told of it stays; the rest is computed anew."""
    whole = (await client.post(PLAIN, json={**ASK, "max_tokens": 40})).json()["choices"][0]["text"]
    for worker in rig.workers:
        worker.hold(5)
    asking = asyncio.create_task(client.post(PLAIN, json={**ASK, "max_tokens": 40}))
    await until(lambda: any(worker.running for worker in rig.workers))
    resetting = asyncio.create_task(debug(client, "reset_engine", model="tiny"))
    await asyncio.sleep(0)
    for worker in rig.workers:
        worker.let_go()
    await resetting

    assert (await asking).json()["choices"][0]["text"] == whole


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("dump_event_trace", b'{"model": "tiny"}', 400, "nothing is traced: serve with --enable"),
        ("dump_event_trace", b"{", 400, "not valid JSON"),
        ("dump_engine_metrics", b"{}", 400, "model: Field required"),
        ("dump_engine_metrics", b'{"model": 5}', 400, "model: Input should be a valid string"),
        ("reset_engine", b'{"model": "other"}', 404, "there is tiny"),
        ("cuda_profiler_start", b"{}", 400, "cudaProfilerStart needs a GPU, rank 0 is on a CPU"),
        ("cuda_profiler_stop", b'{"model": "tiny"}', 400, "cudaProfilerStop needs a GPU"),
    ],
)
async def test_what_cannot_be_done_is_said(
    client: httpx.AsyncClient, name: str, content: bytes, status: int, said: str
) -> None:
    reply = await client.post(
        f"/debug/{name}", content=content, headers={"Content-Type": "application/json"}
    )

    assert reply.status_code == status
    assert said in reply.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_says_what_an_answer_took(client: httpx.AsyncClient, stream: bool) -> None:
    told = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    reply = await client.post(PLAIN, json={**ASK, **told})
    usage = events(reply)[-1]["usage"] if stream else reply.json()["usage"]

    assert usage["extra"]["completion_tokens"] == 6
    assert 0 < usage["extra"]["ttft_s"] <= usage["extra"]["end_to_end_latency_s"] < PATIENCE_S


@pytest.mark.parametrize("level", [1, 2])
async def test_workers_sleep_and_wake_up(client: httpx.AsyncClient, level: int) -> None:
    """As vLLM has it. Who comes meanwhile has his answer when they are awake."""
    before = (await client.post(PLAIN, json=ASK)).json()["choices"]
    assert sorted((await debug(client, "sleep", level=level))["workers"]) == ["w0", "w1"]
    assert await debug(client, "is_sleeping") == {
        "is_sleeping": True,
        "levels": {"w0": level, "w1": level},
    }
    waiting = asyncio.create_task(client.post(PLAIN, json=ASK))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await debug(client, "wake_up", model="tiny")

    assert (await waiting).json()["choices"] == before
    assert (await debug(client, "is_sleeping", model="tiny"))["is_sleeping"] is False


async def test_a_level_that_is_none(client: httpx.AsyncClient) -> None:
    reply = await client.post("/debug/sleep", json={"level": 3})

    assert (reply.status_code, "level" in reply.text) == (400, True)


async def test_ends_are_ignored_by_a_debug_config(client: httpx.AsyncClient) -> None:
    ended = {"prompt": "abc", "max_tokens": 4, "logit_bias": {"1": 100}}
    reasons = [
        (await client.post(PLAIN, json={**ended, **more})).json()["choices"][0]["finish_reason"]
        for more in ({}, {"debug_config": {"ignore_eos": True}})
    ]

    assert reasons == ["stop", "length"]


async def test_a_prompt_is_pinned(rig: Rig, client: httpx.AsyncClient) -> None:
    """Until its engine is reset."""
    body = {**ASK, "prompt": [5] * 40, "debug_config": {"pinned_system_prompt": True}}
    await client.post(PLAIN, json=body)
    held = [worker.engine.load().pages_used for worker in rig.workers]
    await debug(client, "reset_engine", model="tiny")

    assert sorted(held) == [0, 2]
    assert [worker.engine.load().pages_used for worker in rig.workers] == [0, 0]


KEYS = Key("root", hash_of("rlx-root"), admin=True), Key("bob", hash_of("rlx-bob"))


@pytest.mark.parametrize(
    ("key", "config", "status"),
    [
        ("bob", {"ignore_eos": True}, 200),
        ("bob", {"special_request": "query_engine_metrics"}, 403),
        ("bob", {"pinned_system_prompt": True}, 403),
        ("root", {"special_request": "query_engine_metrics"}, 200),
        ("root", {"pinned_system_prompt": True}, 200),
    ],
)
async def test_what_tells_of_others_is_for_admins(
    keyed: Rig, key: str, config: dict[str, Any], status: int
) -> None:
    body = {**ASK, **METRICS, "debug_config": config}
    async with httpx.AsyncClient(base_url=keyed.url, timeout=PATIENCE_S) as client:
        reply = await client.post(PLAIN, json=body, headers={"Authorization": f"Bearer rlx-{key}"})

    assert reply.status_code == status, reply.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keyed(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, enable_debug=True, keys=KEYS) as made:
        yield made


async def test_without_enable_debug_it_is_said(checkpoint: Path) -> None:
    """Nothing is dropped in silence, and usage is OpenAI's."""
    async with (
        running_router(checkpoint) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        refused = await client.post(PLAIN, json={**ASK, "debug_config": {"ignore_eos": True}})
        plain = await client.post(PLAIN, json=ASK)
        missing = await client.post("/debug/reset_engine", json={"model": "tiny"})

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "debug_config"
    assert "served with --enable-debug" in refused.json()["error"]["message"]
    assert "extra" not in plain.json()["usage"]
    assert missing.status_code == 404
