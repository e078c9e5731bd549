"""Nothing that is written down has a key, or a client's words: logs, spans, metrics, timelines."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import httpx
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc, vllm_engine_pb2_grpc
from raylax.proto.pb import vllm_engine_pb2 as engine_pb2
from raylax.router.access.keys import Key, hash_of
from raylax.router.observe.spans import SpanRecorder
from tests.support.router_rig import PATIENCE_S, Rig, channel, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = f"secret{uuid4().hex[:8]}"
"""Short, since values in messages are cut; all keys and all that is asked have it."""
ALICE, ROOT, GUESS = f"rlx-{SECRET}-alice", f"rlx-{SECRET}-root", f"rlx-{SECRET}-guess"
KEYS = (Key("alice", hash_of(ALICE)), Key("root", hash_of(ROOT), admin=True))
CHAT = {"messages": [{"role": "user", "content": f"It is {SECRET}."}], "max_tokens": 2}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/chat/completions", {**CHAT, "temperature": SECRET}),
    ("/v1/chat/completions", {**CHAT, "cache_salt": SECRET * 99}),
    ("/v1/chat/completions", {**CHAT, "stop": [""] + [SECRET] * 99}),
    ("/v1/chat/completions", {**CHAT, "logit_bias": {SECRET: 1}}),
    ("/v1/chat/completions", {**CHAT, "echo": SECRET}),
    ("/v1/chat/completions", {**CHAT, "priority": SECRET}),
    ("/v1/chat/completions", {**CHAT, "model": SECRET}),
    ("/v1/chat/completions", {**CHAT, "chat_template": SECRET}),
    ("/v1/chat/completions", {"messages": SECRET}),
    ("/v1/chat/completions", {"messages": [SECRET]}),
    ("/v1/chat/completions", {"messages": [{"role": SECRET, "content": SECRET}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": SECRET}]}]}),
    ("/v1/completions", {"prompt": f"{SECRET} " * 99}),
    ("/v1/completions", {"prompt": {SECRET: 1}}),
    ("/v1/responses", {"input": f"It is {SECRET}.", "max_output_tokens": 2}),
    ("/v1/responses", {"input": [{"type": "message", "role": SECRET, "content": SECRET}]}),
    ("/v1/messages", {**CHAT, "system": f"It is {SECRET}."}),
    ("/v1/messages", {**CHAT, "system": 5, "metadata": SECRET}),
    ("/v1/embeddings", {"input": f"It is {SECRET}."}),
    ("/v1/embeddings", {"input": SECRET, "encoding_format": SECRET}),
    ("/v1/score", {"text_1": SECRET, "text_2": [SECRET, ""]}),
    ("/v1/rerank", {"query": SECRET, "documents": [SECRET, {"title": SECRET}]}),
    ("/tokenize", {"prompt": SECRET}),
    ("/tokenize", {"prompt": SECRET, "messages": SECRET}),
    ("/detokenize", {"tokens": [SECRET]}),
]
HEADERS: list[dict[str, str]] = [
    {"Authorization": f"Bearer {GUESS}"},
    {"x-api-key": GUESS},
    {"Authorization": f"Basic {GUESS}"},
    {"Authorization": f"Bearer {ALICE}", "X-Raylax-Priority": SECRET},
    {"Authorization": f"Bearer {ALICE}", "X-Request-Timeout": SECRET},
    {"Authorization": f"Bearer {ALICE}", "X-Request-Id": f"not a name: {SECRET}"},
    {"Authorization": f"Bearer {ALICE}", "X-Session-Id": SECRET},
    {"Authorization": f"Bearer {ALICE}", "X-Raylax-Resume": SECRET},
    {"Authorization": f"Bearer {ALICE}", "traceparent": SECRET},
    {"Authorization": f"Bearer {ALICE}", "Content-Encoding": SECRET},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, keys=KEYS) as made:
        yield made


@pytest.fixture
def written(rig: Rig, capfd: pytest.CaptureFixture[str]) -> Iterator[io.StringIO]:
    """All that every logger says, from the finest level on."""
    out, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(out), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    ours = [logging.getLogger(name) for name in ("httpx", "httpcore", "hpack")]  # the clients
    for one in ours:
        one.setLevel(logging.WARNING)
    yield out
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def spans(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    recorder = SpanRecorder(SimpleSpanProcessor(exporter))
    object.__setattr__(rig.models.state, "telemetry", recorder)
    rig.models.authenticator.telemetry = recorder
    return exporter


async def ask_by_grpc(rig: Rig, key: str) -> None:
    who = (("authorization", f"Bearer {key}"),)
    async with channel(rig.grpc_address) as made:
        ours, engine = raylax_pb2_grpc.RaylaxStub(made), vllm_engine_pb2_grpc.VllmEngineStub(made)
        said = [raylax_pb2.Message(role="user", content=f"It is {SECRET}.")]
        wrong = [raylax_pb2.Message(role=SECRET, content=SECRET)]
        params = engine_pb2.SamplingParams(max_tokens=2)
        sampling = raylax_pb2.Sampling(max_tokens=2)
        for call in (
            ours.Chat(raylax_pb2.ChatRequest(messages=said, sampling=sampling), metadata=who),
            ours.Chat(raylax_pb2.ChatRequest(messages=wrong), metadata=who),
            ours.Chat(raylax_pb2.ChatRequest(messages=said, model=SECRET), metadata=who),
            ours.Generate(raylax_pb2.GenerateRequest(text=f"{SECRET} " * 99), metadata=who),
            engine.Generate(
                engine_pb2.GenerateRequest(text=SECRET, sampling_params=params), metadata=who
            ),
            engine.Generate(
                engine_pb2.GenerateRequest(text=SECRET, kv_transfer_params_json=SECRET),
                metadata=who,
            ),
        ):
            with suppress(grpc.aio.AioRpcError):
                async for _ in call:
                    pass


async def test_no_key_and_no_word_of_a_client_is_written_down(
    rig: Rig,
    written: io.StringIO,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is asked, and however it ends; whoever asks is told in their own words."""
    monkeypatch.setattr("raylax.router.access.refusals.MOST_A_SECOND", 1000)
    ids, told = [], ""
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        for key in (ALICE, GUESS):
            for path, body in ASKED:
                reply = await client.post(path, json=body, headers={"x-api-key": key})
                ids.append(reply.headers.get("X-Raylax-Call-Id", ""))
                told += reply.text
            await ask_by_grpc(rig, key)
        for headers in HEADERS:
            await client.post("/v1/chat/completions", json=CHAT, headers=headers)
        broken = {"x-api-key": ALICE, "Content-Type": "application/json"}
        await client.post("/v1/completions", content=f'{{"{SECRET}', headers=broken)
        admin = {"x-api-key": ROOT}
        metrics = (await client.get("/metrics", headers=admin)).text
        stories = [(await client.get(f"/explain/{id}", headers=admin)).text for id in ids if id]
    await until(lambda: not rig.service.journal)
    reports = [json.dumps(worker.report(1, "node"), default=str) for worker in rig.workers]
    traced = " ".join(span.to_json() for span in spans.get_finished_spans())
    console = capfd.readouterr()

    assert SECRET in told and len(spans.get_finished_spans()) > len(ASKED)
    assert "tenant=alice" in written.getvalue() and "tokenize" in traced and len(stories) > 4
    assert "/raylax.v1.Raylax/Chat NOT_FOUND" in written.getvalue()
    for text in (written.getvalue(), traced, metrics, *stories, *reports, *console):
        at = text.find(SECRET)
        assert at < 0, text[max(0, at - 300) : at + 100]


async def test_what_fails_unforeseen_is_written_down_without_its_words(
    rig: Rig, written: io.StringIO, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a bug the log has the place; what an exception says may be of a prompt."""

    def fail(self: object, *_: object, **__: object) -> None:
        raise ValueError(f"could not convert string to float: {SECRET!r}")

    for name in ("chat_call", "completion_call", "tokens_call"):
        monkeypatch.setattr(type(rig.service.frontend), name, fail)
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        reply = await client.post("/v1/chat/completions", json=CHAT, headers={"x-api-key": ALICE})
    await ask_by_grpc(rig, ALICE)
    traced = " ".join(span.to_json() for span in spans.get_finished_spans())

    assert (reply.status_code, SECRET in reply.text) == (500, False)
    assert "ValueError" in written.getvalue() and "in fail" in written.getvalue()
    assert SECRET not in written.getvalue() + traced
