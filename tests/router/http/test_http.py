"""The HTTP API as clients see it: OpenAI's own client, and people who make mistakes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from raylax.proto.errors import WorkerUnavailable
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    running_http,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 8}


async def test_openais_client(rig: Rig) -> None:
    """Whole, streamed and as a completion: the same text for the same request."""
    async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key="none") as client:
        ask: Any = {"model": "tiny", "messages": ASK["messages"], "temperature": 0, "max_tokens": 8}
        whole = await client.chat.completions.create(**ask)
        stream = await client.chat.completions.create(
            **ask, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        plain = await client.completions.create(
            model="tiny", prompt=[5, 6, 7], max_tokens=5, temperature=0, logprobs=2
        )
        models = [model.id async for model in client.models.list()]

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.completion_tokens == 8
    assert plain.choices[0].logprobs is not None
    assert len(plain.choices[0].logprobs.token_logprobs or []) == 5
    assert models == ["tiny"]


async def test_the_extensions_that_people_use(client: httpx.AsyncClient) -> None:
    extra = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": True}
    reply = await client.post("/v1/chat/completions", json={**ASK, **extra, "temperature": 1})

    assert reply.status_code == 200
    assert reply.json()["usage"]["completion_tokens"] == 8


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("/v1/chat/completions", b"{", 400, "not valid JSON"),
        ("/v1/chat/completions", b'{"messages": "\xff"}', 400, "not valid JSON"),
        ("/v1/chat/completions", json.dumps({**ASK, "top_p": 2}).encode(), 400, "top_p"),
        ("/v1/chat/completions", json.dumps({**ASK, "model": "x"}).encode(), 404, "there is tiny"),
        ("/v1/completions", b'{"prompt": "' + b"x" * 300 + b'"}', 400, "300 tokens, the limit is"),
        ("/v1/nothing", b"{}", 404, "POST /v1/nothing"),
        ("/v1/models", b"{}", 405, "Method Not Allowed"),
    ],
)
async def test_a_mistake_is_explained(
    client: httpx.AsyncClient, path: str, content: bytes, status: int, said: str
) -> None:
    """In OpenAI's error body; and the server goes on."""
    reply = await client.post(path, content=content)

    assert reply.status_code == status
    assert said in reply.json()["error"]["message"]
    assert (await client.post("/v1/chat/completions", json=ASK)).status_code == 200


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        (b"Content-Length: 104857600", 1),
        (b"Transfer-Encoding: chunked", 9),
    ],
)
async def test_a_body_of_100_mb_is_refused(rig: Rig, header: bytes, parts: int) -> None:
    """By its header, or as soon as the limit is passed: nobody waits for the rest."""
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
    for _ in range(parts):
        writer.write(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
    async with asyncio.timeout(PATIENCE_S):
        status = await reader.readline()
        body = await reader.readuntil(b"}}")
    writer.close()

    assert status.split()[1] == b"413"
    assert b"8388608 bytes" in body


async def test_a_client_that_leaves_frees_its_pages(rig: Rig, client: httpx.AsyncClient) -> None:
    """Streaming or waiting: the worker stops at once."""
    worker = rig.workers[0]
    for streaming in (True, False):
        worker.hold(steps=3)
        body = {**ASK, "max_tokens": 200, "stream": streaming}
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await until(lambda: worker.running)
        asking.cancel()
        await until(lambda: not rig.service.journal)
        worker.let_go()
        await until(lambda: not worker.running)

    assert worker.engine.load().pages_used == 0


async def test_a_worker_that_dies_ends_the_stream_with_an_error(checkpoint: Path) -> None:
    """Within the stream, since its headers are out; then nobody is left to serve."""
    async with (
        running_router(checkpoint, worker_patience_s=0.5) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        rig.workers[0].hold(steps=3)
        body = {**ASK, "max_tokens": 200, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.aiter_lines()
            first = await anext(lines)
            await rig.workers[0].die()
            rest = [line async for line in lines if line]
        await until(lambda: not rig.router.ready)
        again = await client.post("/v1/chat/completions", json=ASK)
        health = await client.get("/health")

    assert '"content"' in first
    assert json.loads(rest[-2].removeprefix("data: "))["error"]["code"] == "service_unavailable"
    assert rest[-1] == "data: [DONE]"
    assert (again.status_code, health.status_code) == (503, 503)


async def test_a_lost_worker_is_not_noticed_when_another_goes_on(checkpoint: Path) -> None:
    """The answer is the one that an undisturbed worker gives."""
    async with (
        running_router(checkpoint, count=2) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        body = {**ASK, "max_tokens": 60, "temperature": 1, "seed": 5}
        want = (await client.post("/v1/chat/completions", json=body)).json()
        for worker in rig.workers:
            worker.hold(steps=20)
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await until(lambda: any(worker.running for worker in rig.workers))
        busy, idle = sorted(rig.workers, key=lambda worker: -worker.running)
        await until(lambda: any(e.emitted for e in rig.service.journal._entries.values()))
        await busy.die()
        idle.let_go()
        got = (await asking).json()

    assert got["choices"] == want["choices"]
    assert got["usage"]["completion_tokens"] == want["usage"]["completion_tokens"]


async def test_a_timeout_ends_the_call(rig: Rig, client: httpx.AsyncClient) -> None:
    rig.workers[0].hold(steps=1)
    reply = await client.post("/v1/chat/completions", json={**ASK, "timeout": 0.2})
    rig.workers[0].let_go()

    assert reply.status_code == 504
    await until(lambda: not rig.workers[0].running)


async def test_a_full_router_says_when_to_come_back(checkpoint: Path) -> None:
    async with (
        running_router(checkpoint, max_inflight=2) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        with rig.models.state.places.taken("", 1):
            reply = await client.post("/v1/chat/completions", json={**ASK, "n": 2})

    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) >= 1


async def test_before_the_first_worker(checkpoint: Path) -> None:
    """Everything answers, nothing hangs."""
    settings = RouterConfig("tiny", str(checkpoint), "")
    async with (
        running_http(Models([settings])) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.post("/ping")).status_code == 503
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.post("/v1/chat/completions", json=ASK)).status_code == 503
        assert (await client.get("/metrics")).status_code == 200


class LostMetrics(NoCluster):
    """A cluster whose Metrics replica has died."""

    async def exposition(self, openmetrics: bool) -> bytes:
        raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0)

    async def cluster(self) -> str:
        raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0)


async def test_without_metrics_the_router_speaks_for_itself(rig: Rig) -> None:
    """Its own figures are there; what only Metrics knows is a 503."""
    async with (
        running_http(rig.models, LostMetrics()) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        metrics, cluster = await client.get("/metrics"), await client.get("/cluster")

    assert metrics.status_code == 200 and "vllm:time_to_first_token_seconds" in metrics.text
    assert cluster.status_code == 503 and cluster.headers["retry-after"] == "2"


class OneWorker(NoCluster):
    """A cluster whose workers say so much."""

    async def exposition(self, openmetrics: bool) -> bytes:
        return b"raylax_worker_up 1.0\n"


async def test_metrics_are_valid(checkpoint: Path) -> None:
    """Prometheus' own parser reads them; a call has been counted. The workers' come after ours."""
    async with (
        running_router(checkpoint) as rig,
        running_http(rig.models, OneWorker()) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        await client.post("/v1/chat/completions", json=ASK)
        text = (await client.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    (ended,) = [
        s.value
        for s in families["vllm:request_success"].samples
        if s.name == "vllm:request_success_total"
    ]

    assert ended == 1
    assert "vllm:time_to_first_token_seconds" in families
    assert "raylax_worker_up" in families
