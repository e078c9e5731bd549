"""Every endpoint counts against its key's limits, as what it costs."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc, vllm_engine_pb2, vllm_engine_pb2_grpc
from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.config import RouterConfig
from tests.support.router_rig import (
    ENGINE,
    PATIENCE_S,
    TOKEN,
    Rig,
    a_router,
    channel,
    running_worker,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "a secret"
MOST, NOW = 10_000, 100.0
HI = [{"role": "user", "content": "hi"}]
SHORT: dict[str, Any] = {"max_tokens": 3, "ignore_eos": True}


@asynccontextmanager
async def router_with(
    checkpoint: Path, clock: Callable[[], float] = time.monotonic, **limits: Any
) -> AsyncIterator[Rig]:
    """A router, and a key with these limits."""
    key = Key("bob", hash_of(KEY), admin=True, **limits)
    settings = RouterConfig("tiny", str(checkpoint), TOKEN, keys=(key,))
    async with (
        running_worker(checkpoint, "w0", ENGINE) as worker,
        a_router(settings, [worker], Models([settings], clock)) as rig,
    ):
        yield rig


def client_of(rig: Rig) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S, headers=headers)


def used(rig: Rig) -> tuple[int, int]:
    """The requests and tokens that the key has used."""
    left = rig.models.state.rate_limiter.headers("bob", NOW)
    requests, tokens = (left[f"x-ratelimit-remaining-{what}"] for what in ("requests", "tokens"))
    return MOST - int(requests), MOST - int(tokens)


ENDPOINTS = [
    ("/v1/chat/completions", {"messages": HI, "n": 3, **SHORT}, 3),
    ("/v1/completions", {"prompt": ["a", "b"], "n": 2, **SHORT}, 4),
    ("/v1/responses", {"input": "hi", "max_output_tokens": 3}, 1),
    ("/v1/messages", {"messages": HI, "max_tokens": 3}, 1),
    ("/v1/embeddings", {"input": ["a", "b c", "d"]}, 3),
    ("/v1/score", {"text_1": "a", "text_2": ["b c", "d"]}, 3),
    ("/v1/rerank", {"query": "a", "documents": ["b c", "d", "e"]}, 4),
]


def tokens_in(usage: dict[str, int]) -> int:
    """Those of prompts and answers, by whichever API tells of them."""
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")
    return sum(usage.get(name, 0) for name in (*names, "cache_read_input_tokens"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """Its time stands still, so that nothing flows in."""
    limits = {"requests_per_minute": MOST, "tokens_per_minute": MOST}
    async with router_with(checkpoint, lambda: NOW, **limits) as made:
        yield made


@pytest.mark.parametrize(("path", "body", "sequences"), ENDPOINTS)
async def test_a_call_counts_its_sequences_and_tokens(
    rig: Rig, path: str, body: dict[str, Any], sequences: int
) -> None:
    """When it has ended, those that it has used."""
    before = used(rig)
    async with client_of(rig) as client:
        reply = await client.post(path, json=body)
    after = used(rig)

    assert reply.status_code == 200, reply.text
    assert after[0] - before[0] == sequences
    assert after[1] - before[1] == tokens_in(reply.json()["usage"]) > 0


@pytest.mark.parametrize(
    ("path", "body", "tokens"),
    [
        ("/tokenize", {"prompt": "hi there"}, lambda told: told["count"]),
        ("/tokenize", {"messages": HI}, lambda told: told["count"]),
        ("/detokenize", {"tokens": [5, 6, 7]}, lambda told: 3),
        ("/v1/messages/count_tokens", {"messages": HI}, lambda told: told["input_tokens"]),
    ],
)
async def test_work_without_an_engine_counts_its_tokens(
    rig: Rig, path: str, body: dict[str, Any], tokens: Any
) -> None:
    before = used(rig)
    async with client_of(rig) as client:
        reply = await client.post(path, json=body)
    after = used(rig)

    assert reply.status_code == 200, reply.text
    assert after[0] - before[0] == 1
    assert after[1] - before[1] == tokens(reply.json()) > 0


@pytest.mark.parametrize(
    ("method", "path", "requests"),
    [
        ("GET", "/cluster", 1),
        ("GET", "/cluster/history", 1),
        ("GET", "/cluster/events", 1),
        ("GET", "/metrics", 1),
        ("GET", "/v1/models", 1),
        ("GET", "/v1/streams/none", 1),
        ("GET", "/explain/none", 1),
        ("POST", "/v1/chat/completions", 1),
        ("GET", "/nowhere", 1),
        ("GET", "/health", 0),
        ("GET", "/version", 0),
    ],
)
async def test_what_computes_nothing_counts_as_a_request(
    rig: Rig, method: str, path: str, requests: int
) -> None:
    """Whatever comes of it. The state of the router is for those without a key, too."""
    before = used(rig)
    async with client_of(rig) as client:
        await client.request(method, path)
    after = used(rig)

    assert (after[0] - before[0], after[1] - before[1]) == (requests, 0)


METADATA = (("authorization", f"Bearer {KEY}"),)


async def test_both_grpc_services_count_the_same(rig: Rig) -> None:
    sampling = raylax_pb2.Sampling(max_tokens=3, ignore_eos=True, n=2)
    ask = raylax_pb2.GenerateRequest(text="a", sampling=sampling)
    engine_sampling = vllm_engine_pb2.SamplingParams(max_tokens=3, ignore_eos=True, n=2)
    engine_ask = vllm_engine_pb2.GenerateRequest(text="a", sampling_params=engine_sampling)
    spent = [used(rig)]
    async with channel(rig.grpc_address) as made:
        ours = raylax_pb2_grpc.RaylaxStub(made)
        engine = vllm_engine_pb2_grpc.VllmEngineStub(made)
        async for _ in ours.Generate(ask, metadata=METADATA):
            pass
        spent.append(used(rig))
        async for _ in engine.Generate(engine_ask, metadata=METADATA):
            pass
        spent.append(used(rig))
        inputs = [raylax_pb2.EmbedRequest.Input(text=text) for text in ("a", "b")]
        await ours.Embed(raylax_pb2.EmbedRequest(inputs=inputs), metadata=METADATA)
        spent.append(used(rig))
        await engine.GetModelInfo(vllm_engine_pb2.GetModelInfoRequest(), metadata=METADATA)
        spent.append(used(rig))
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(spent, spent[1:], strict=False)]

    assert [requests for requests, _ in steps] == [2, 2, 2, 1]
    assert steps[0][1] == steps[1][1] > 6
    assert steps[2][1] > 0 == steps[3][1]


async def test_tokens_that_may_come_are_set_aside(checkpoint: Path) -> None:
    """While a call runs, another cannot have them; when it has ended they are there again."""
    async with router_with(checkpoint, tokens_per_minute=60) as rig, client_of(rig) as client:
        ask = {"prompt": "a", "max_tokens": 40}
        rig.workers[0].hold(steps=0)
        async with client.stream("POST", "/v1/completions", json={**ask, "stream": True}) as first:
            second = await client.post("/v1/completions", json=ask)
            assert (first.status_code, second.status_code) == (200, 429)
        await until(lambda: not rig.models.state.rate_limiter.open("bob"))
        rig.workers[0].let_go()

        third = await client.post("/v1/completions", json=ask)
        assert third.status_code == 200, third.text


async def test_without_a_token_left_no_prompt_is_made(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever would come of it, its key may not have it."""
    async with router_with(checkpoint, tokens_per_minute=60) as rig, client_of(rig) as client:
        spent = await client.post("/tokenize", json={"prompt": "a b " * 200})
        monkeypatch.setattr(Service, "maker", None)
        replies = [
            await client.post(path, json=body)
            for path, body in (
                ("/v1/chat/completions", {"messages": HI}),
                ("/v1/embeddings", {"input": "a"}),
                ("/tokenize", {"prompt": "a"}),
                ("/v1/messages/count_tokens", {"messages": HI}),
            )
        ]

    assert spent.json()["count"] > 70
    assert [reply.status_code for reply in replies] == [429] * 4


@pytest.mark.parametrize(
    ("limits", "body"),
    [
        ({"max_concurrent": 3}, {"n": 4, "max_tokens": 1}),
        ({"requests_per_minute": 3}, {"n": 4, "max_tokens": 1}),
        ({"tokens_per_minute": 60}, {"max_tokens": 70}),
        ({"tokens_per_minute": 60}, {"n": 4, "max_tokens": 20}),
    ],
)
async def test_what_never_fits_is_wrong(
    checkpoint: Path, limits: dict[str, Any], body: dict[str, Any]
) -> None:
    async with router_with(checkpoint, **limits) as rig, client_of(rig) as client:
        reply = await client.post("/v1/completions", json={"prompt": "a", **body})

    assert (reply.status_code, reply.headers.get("retry-after")) == (400, None)
    assert "it never fits" in reply.json()["error"]["message"]


async def test_tokenising_counts_among_what_runs_at_once(checkpoint: Path) -> None:
    async with router_with(checkpoint, max_concurrent=2) as rig, client_of(rig) as client:
        rig.workers[0].hold(steps=0)
        ask = {"prompt": "a", "n": 2, "max_tokens": 3, "stream": True}
        async with client.stream("POST", "/v1/completions", json=ask) as running:
            reply = await client.post("/tokenize", json={"prompt": "a"})
            assert (running.status_code, reply.status_code) == (200, 429)
        rig.workers[0].let_go()
        await until(lambda: not rig.models.state.rate_limiter.open("bob"))

        assert (await client.post("/tokenize", json={"prompt": "a"})).status_code == 200
