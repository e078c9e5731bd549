"""Calls as spans of OpenTelemetry: the tree, its times, and what it says of an outcome."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.journal import JournalEntry
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.observe.exporter import ENDPOINTS, telemetry
from raylax.router.observe.spans import SpanRecorder
from raylax.router.observe.telemetry import NoTelemetry
from raylax.router.observe.timeline import Outcome, Timeline
from tests.support.paths import ROOT
from tests.support.router_rig import (
    ENGINE,
    PATIENCE_S,
    Rig,
    channel,
    running_http,
    running_router,
    until,
)

CHAT = "/v1/chat/completions"
SETTINGS = "docs/configuration.md"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 4,
}  # fmt: skip
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "congo=t61rcWkgMzE"}
Told = dict[str, list[ReadableSpan]]
"""Spans by name, in the order of their ends."""


class Recorded:
    """A router with two workers, and the spans of its calls."""

    def __init__(self, rig: Rig, client: httpx.AsyncClient) -> None:
        self.rig, self.client, self._exporter = rig, client, InMemorySpanExporter()
        spans = SpanRecorder(SimpleSpanProcessor(self._exporter))
        rig.service.state = replace(rig.service.state, telemetry=spans)
        rig.models.authenticator.telemetry = spans

    async def told(self) -> Told:
        """Of the one call, which has ended or is about to."""
        await until(lambda: self.roots)
        found: Told = {}
        for span in self._spans:
            found.setdefault(span.name, []).append(span)
        return found

    @property
    def roots(self) -> list[ReadableSpan]:
        """Of ours the first ones."""
        return [one for one in self._spans if one.parent is None or one.parent.is_remote]

    @property
    def _spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
async def recorded(checkpoint: Path) -> AsyncIterator[Recorded]:
    """Drafts have a fixed length, so that it does not depend on the machine whether there are
    any."""
    async with (
        running_router(checkpoint, 2, replace(ENGINE, spec_draft_length=3)) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        yield Recorded(rig, client)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_call_is_a_tree_below_its_clients_span(recorded: Recorded) -> None:
    """The span that the client was told of is the root of ours; times lie within those above."""
    reply = await recorded.client.post(CHAT, json=ASK, headers=SAMPLED)
    told = await recorded.told()
    (call,), (queue,), (attempt,) = told["chat tiny"], told["queue"], told["attempt"]

    assert call.parent is not None and call.context is not None
    assert f"{call.context.trace_id:032x}" == TRACE
    assert f"{call.parent.span_id:016x}" == SPAN
    assert f"{call.context.span_id:016x}" == reply.headers["traceparent"].split("-")[2]
    assert call.context.trace_state.to_header() == SAMPLED["tracestate"]
    assert call.kind is SpanKind.SERVER
    for below in (queue, attempt):
        assert below.parent is not None and below.parent.span_id == call.context.span_id
    moments = [event.timestamp for event in call.events]
    times = [call.start_time, queue.end_time, attempt.start_time, attempt.end_time, call.end_time]
    assert None not in times and times == sorted(times)  # type: ignore[type-var]
    assert moments == sorted(moments)


async def test_it_says_what_was_asked_and_what_it_came_to(recorded: Recorded) -> None:
    """By the conventions for generative AI; the events of the timeline are its events."""
    reply = await recorded.client.post(CHAT, json={**ASK, "n": 2}, headers=SAMPLED)
    answer, told = reply.json(), await recorded.told()
    (call,), attempts, usage = told["chat tiny"], told["attempt"], answer["usage"]

    assert attributes(call) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "raylax",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.id": answer["id"],
        "gen_ai.response.model": "tiny",
        "gen_ai.response.finish_reasons": ("length", "length"),
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.cache_read.input_tokens": usage["prompt_tokens_details"]["cached_tokens"],
    }
    assert call.status.status_code is StatusCode.UNSET
    events = [event.name for event in call.events]
    assert (events[0], events.count("first token"), events[-1]) == ("admitted", 2, "ended")
    assert {one["raylax.outcome"] for one in map(attributes, attempts)} == {"ended"}
    assert {one["raylax.worker"] for one in map(attributes, attempts)} <= {"w0", "w1"}
    assert [one["raylax.request"] for one in map(attributes, attempts)] == [
        f"{answer['id']}/0/{choice}" for choice in range(2)
    ]


async def test_what_the_engine_did_lies_below_the_attempt(recorded: Recorded) -> None:
    """In turn, and all of the attempt: its queue, its prefill, its decode, with their tokens. A
    second time the prompt's first page is found."""
    long = {"prompt": "a long beginning ", "max_tokens": 40, "logit_bias": {"97": 100}}
    unrecorded = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    await recorded.client.post("/v1/completions", json=long, headers=unrecorded)
    reply = await recorded.client.post("/v1/completions", json=long, headers=SAMPLED)
    usage, told = reply.json()["usage"], await recorded.told()
    (attempt,) = told["attempt"]
    below = [told[f"engine.{name}"][0] for name in ("queue", "prefill", "decode")]
    moments = [attempt.start_time, *(one.end_time for one in below)]

    assert attempt.context is not None
    assert {one.parent and one.parent.span_id for one in below} == {attempt.context.span_id}
    assert [one.start_time for one in below] == moments[:-1]
    assert moments[-1] == attempt.end_time and moments == sorted(moments)  # type: ignore[type-var]
    assert attributes(below[1]) == {
        "raylax.tokens": usage["prompt_tokens"],
        "raylax.cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
    }
    decoded = attributes(below[2])
    right = usage["completion_tokens_details"]["accepted_prediction_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 16
    assert (decoded["raylax.tokens"], decoded["raylax.accepted_tokens"]) == (40, right)
    assert decoded["raylax.drafted_tokens"] >= right > 0 < decoded["raylax.drafts"]


async def test_a_lost_engine_is_told_as_far_as_it_came(recorded: Recorded) -> None:
    """Tokens that another one goes on from are known there, not generated."""
    for worker in recorded.rig.workers:
        worker.hold(steps=1)
    asking = asyncio.create_task(recorded.client.post(CHAT, json=ASK, headers=SAMPLED))
    (lost,) = [worker async for worker in busy(recorded.rig)]
    await until(lambda: any(one.emitted for one in entries(recorded.rig)))
    await lost.die()
    for worker in recorded.rig.workers:
        worker.let_go()
    usage, told = (await asking).json()["usage"], await recorded.told()
    prefills, decodes = told["engine.prefill"], told["engine.decode"]
    known = [attributes(one)["raylax.tokens"] for one in prefills]

    assert known == [usage["prompt_tokens"], usage["prompt_tokens"] + 1]
    assert [attributes(one)["raylax.tokens"] for one in decodes] == [1, 3]


def entries(rig: Rig) -> list[JournalEntry]:
    return list(rig.service.journal._entries.values())


async def test_everything_that_is_told_is_documented(recorded: Recorded) -> None:
    """Spans and attributes in the router's page, what turns them on among the settings."""
    await recorded.client.post(CHAT, json={}, headers=SAMPLED)
    await recorded.client.post(CHAT, json=ASK, headers=SAMPLED)
    await until(lambda: len(recorded.roots) == 2)
    told = await recorded.told()
    names = {name.replace("tiny", "MODEL").replace(CHAT, "PATH") for name in told}
    names |= {name for spans in told.values() for span in spans for name in attributes(span)}
    router, settings = ((ROOT / one).read_text() for one in ("router/README.md", SETTINGS))

    assert {name for name in names if f"`{name}`" not in router} == set()
    assert {outcome for outcome in Outcome if outcome not in router} == set()
    assert {name for name in ENDPOINTS if f"`{name}`" not in settings} == set()


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/v1/completions", {"prompt": "hi", "max_tokens": 2}, "text_completion tiny"),
        ("/v1/embeddings", {"input": "hi"}, "embeddings tiny"),
    ],
)
async def test_a_call_is_named_by_what_is_asked_for(
    recorded: Recorded, path: str, body: dict[str, Any], name: str
) -> None:
    await recorded.client.post(path, json=body, headers=SAMPLED)

    assert name in await recorded.told()


async def test_a_lost_worker_is_an_attempt_that_failed(recorded: Recorded) -> None:
    """And the call is none: another one went on."""
    for worker in recorded.rig.workers:
        worker.hold(steps=2)
    asking = asyncio.create_task(recorded.client.post(CHAT, json=ASK, headers=SAMPLED))
    (lost,) = [worker async for worker in busy(recorded.rig)]
    await lost.die()
    for worker in recorded.rig.workers:
        worker.let_go()
    reply, told = await asking, await recorded.told()
    first, second = told["attempt"]

    assert reply.status_code == 200
    assert attributes(first)["raylax.worker"] == lost.worker_id
    assert attributes(first)["raylax.outcome"] == attributes(first)["error.type"] == "lost"
    assert first.status.status_code is StatusCode.ERROR
    assert f"{lost.worker_id} is lost" in (first.status.description or "")
    assert attributes(second)["raylax.outcome"] == "ended"
    assert told["chat tiny"][0].status.status_code is StatusCode.UNSET


async def busy(rig: Rig) -> AsyncIterator[Any]:
    """Those that have something to do, as soon as any has."""
    await until(lambda: any(worker.running for worker in rig.workers))
    for worker in rig.workers:
        if worker.running:
            yield worker


async def test_a_call_that_fails_says_of_what(recorded: Recorded) -> None:
    """By the error's code; what it was doing then was cancelled."""
    for worker in recorded.rig.workers:
        worker.hold(steps=1)
    headers = {**SAMPLED, "X-Request-Timeout": "0.2"}
    reply = await recorded.client.post(CHAT, json=ASK, headers=headers)
    for worker in recorded.rig.workers:
        worker.let_go()
    told = await recorded.told()
    (call,), (attempt,) = told["chat tiny"], told["attempt"]

    assert reply.status_code == 504
    assert recorded.roots == [call]
    assert reply.headers["X-Raylax-Call-Id"] == attributes(call)["gen_ai.response.id"]
    assert call.status.status_code is StatusCode.ERROR
    assert call.status.description == reply.json()["error"]["message"]
    assert attributes(call)["error.type"] == "deadline_exceeded"
    assert attributes(attempt)["raylax.outcome"] == "cancelled"
    assert told["queue"][0].status.status_code is StatusCode.UNSET


REFUSED: list[tuple[str, str, dict[str, Any], str, int, str]] = [
    ("POST", CHAT, {"json": {**ASK, "model": "another"}}, CHAT, 404, "model_not_found"),
    ("POST", CHAT, {"json": {}}, CHAT, 400, "invalid_request_error"),
    ("POST", CHAT, {"content": b" " * 2000}, CHAT, 413, "request_too_large"),
    ("POST", "/tokenize", {"json": {"prompt": 1}}, "/tokenize", 400, "invalid_request_error"),
    ("GET", "/explain/none", {}, "/explain/{call_id}", 404, "not_found"),
    ("POST", CHAT, {"json": ASK, "key": "guess"}, CHAT, 401, "invalid_api_key"),
    ("POST", "/cluster/drain/w0", {}, "/cluster/drain/{worker}", 403, "insufficient_permissions"),
]


@pytest.fixture(scope="module")
def keys() -> list[Key]:
    return [Key("alice", hash_of("hers"), requests_per_minute=2)]


@pytest.fixture
async def guarded(checkpoint: Path, keys: list[Key]) -> AsyncIterator[Recorded]:
    """Who has a key may ask it twice."""
    async with (
        running_router(checkpoint, keys=keys, max_body_bytes=1000) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        yield Recorded(rig, client)


@pytest.mark.parametrize(("method", "path", "ask", "route", "status", "kind"), REFUSED)
async def test_a_refused_call_is_a_span_of_its_own(
    guarded: Recorded, method: str, path: str, ask: dict[str, Any], route: str, status: int,
    kind: str,
) -> None:  # fmt: skip
    """Below its client's, with what it was told; what a client does wrong is no error of ours."""
    key = ask.get("key", "hers")
    more = {name: value for name, value in ask.items() if name != "key"}
    reply = await guarded.client.request(
        method, path, headers={**SAMPLED, "x-api-key": key}, **more
    )
    ((name, (span,)),) = (await guarded.told()).items()
    error = reply.json()["error"]
    field = error["param"]
    rule = f"{field}: {kind}" if field else kind  # not in the client's own words

    assert reply.status_code == status
    assert name == f"{method} {route}"
    assert attributes(span) == {
        "http.request.method": method,
        "http.route": route,
        "url.path": path,
        "http.response.status_code": status,
        "error.type": kind,
        "error.message": error["message"] if status in (401, 403, 413) else rule,
    } | ({} if status in (401, 403) else {"raylax.tenant": "alice"})
    assert (span.kind, span.status.status_code) == (SpanKind.SERVER, StatusCode.UNSET)
    assert span.context is not None and span.parent is not None
    assert f"{span.context.span_id:016x}" == reply.headers["traceparent"].split("-")[2]
    assert f"{span.parent.span_id:016x}" == SPAN


async def test_a_call_beyond_its_keys_limit_is_a_span(guarded: Recorded) -> None:
    """Beside those of the calls before."""
    headers = {**SAMPLED, "x-api-key": "hers"}
    replies = [await guarded.client.post(CHAT, json=ASK, headers=headers) for _ in range(3)]
    await until(lambda: len(guarded.roots) == 3)

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [span.name for span in guarded.roots] == ["chat tiny", "chat tiny", f"POST {CHAT}"]
    assert attributes(guarded.roots[2])["error.type"] == "rate_limit_exceeded"


async def test_what_is_no_call_is_not_told(guarded: Recorded) -> None:
    """A path that does not exist, a wrong method; a path of which only strangers know is not in
    a name, of which there would be no end."""
    headers = {**SAMPLED, "x-api-key": "hers"}
    nowhere = await guarded.client.get("/nowhere", headers=headers)
    method = await guarded.client.get(CHAT, headers=headers)
    stranger = await guarded.client.get("/nowhere", headers=SAMPLED)
    told = await guarded.told()

    assert [one.status_code for one in (nowhere, method, stranger)] == [404, 405, 401]
    assert [(name, len(spans)) for name, spans in told.items()] == [("GET", 1)]


async def test_a_refusal_by_grpc_is_a_span(guarded: Recorded) -> None:
    """In its own words."""
    sampled = tuple(SAMPLED.items())
    async with channel(guarded.rig.grpc_address) as made:
        stub: Any = raylax_pb2_grpc.RaylaxStub(made)
        with pytest.raises(grpc.aio.AioRpcError) as stranger:
            await stub.Embed(raylax_pb2.EmbedRequest(), metadata=sampled)
        with pytest.raises(grpc.aio.AioRpcError):
            request = raylax_pb2.ChatRequest(model="another")
            await stub.Chat(request, metadata=(*sampled, ("x-api-key", "hers"))).read()
    await until(lambda: len(guarded.roots) == 2)
    embed, chat = guarded.roots

    assert (embed.name, chat.name) == ("raylax.v1.Raylax/Embed", "raylax.v1.Raylax/Chat")
    assert attributes(chat) == {
        "rpc.system": "grpc",
        "rpc.service": "raylax.v1.Raylax",
        "rpc.method": "Chat",
        "rpc.grpc.status_code": grpc.StatusCode.NOT_FOUND.value[0],
        "error.type": "model_not_found",
        "error.message": "model: model_not_found",
        "raylax.tenant": "alice",
    }
    assert attributes(embed)["error.type"] == "invalid_api_key"
    assert attributes(embed)["error.message"] == stranger.value.details()
    assert embed.status.status_code is chat.status.status_code is StatusCode.UNSET


async def test_what_is_our_fault_is_an_error(checkpoint: Path) -> None:
    """A model without workers."""
    models, exporter = Models([RouterConfig("tiny", str(checkpoint), "")]), InMemorySpanExporter()
    models.authenticator.telemetry = SpanRecorder(SimpleSpanProcessor(exporter))
    async with (
        running_http(models) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        reply = await client.post(CHAT, json=ASK, headers=SAMPLED)
    (span,) = exporter.get_finished_spans()

    assert reply.status_code == attributes(span)["http.response.status_code"] == 503
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == reply.json()["error"]["message"]


async def test_a_client_that_leaves_is_no_error(recorded: Recorded) -> None:
    for worker in recorded.rig.workers:
        worker.hold(steps=2)
    body = {**ASK, "stream": True, "max_tokens": 100}
    async with recorded.client.stream("POST", CHAT, json=body, headers=SAMPLED) as reply:
        await anext(aiter(reply.aiter_lines()))
    told = await recorded.told()

    assert told["chat tiny"][0].status.status_code is StatusCode.UNSET
    assert told["chat tiny"][0].events[-1].name == "ended early"
    assert attributes(told["attempt"][0])["raylax.outcome"] == "cancelled"


async def test_what_its_client_does_not_record_is_not_recorded_here(recorded: Recorded) -> None:
    """The first call's spans are none: those that are found are the second's."""
    headers = {"traceparent": f"00-{'1' * 32}-{SPAN}-00"}
    await recorded.client.post(CHAT, json=ASK, headers=headers)
    await recorded.client.post(CHAT, json=ASK, headers=SAMPLED)
    told = await recorded.told()

    assert [len(spans) for spans in told.values()] == [1, 1, 1, 1, 1, 1]
    assert {f"{span.context.trace_id:032x}" for (span,) in told.values() if span.context} == {TRACE}


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An address that takes spans by HTTP, and those that came."""
    came: list[ExportTraceServiceRequest] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            thread.join()


async def test_the_environment_says_where_spans_go(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the latest when the router ends. A trace that begins here is recorded, and says so."""
    with collector() as (address, came):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        async with (
            running_router(checkpoint) as rig,
            httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
        ):
            reply = await client.post(CHAT, json=ASK)
    _, trace_id, span_id, flags = reply.headers["traceparent"].split("-")
    (resource,) = [group for request in came for group in request.resource_spans]
    (scope,) = resource.scope_spans
    calls = [span for span in scope.spans if not span.parent_span_id]

    assert flags == "01"
    assert [(span.name, span.span_id.hex()) for span in calls] == [("chat tiny", span_id)]
    assert {span.trace_id.hex() for span in scope.spans} == {trace_id}
    assert {one.key: one.value.string_value for one in resource.resource.attributes} == {
        "service.name": "raylax-router",
        "deployment.environment.name": "test",
    }


async def test_a_collector_that_is_gone_holds_nobody_up(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are answered, and the router ends soon."""
    monkeypatch.setattr("raylax.router.observe.spans.LAST_WORDS_S", 0.1)
    with collector() as (address, _):
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")
    async with (
        running_router(checkpoint) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        reply = await client.post(CHAT, json=ASK)
        async with asyncio.timeout(2):
            await rig.models.close()

    assert reply.status_code == 200


def test_unasked_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, raylax.router.calls.models;"
        "from raylax.router.observe.exporter import telemetry;"
        "telemetry({}); print([n for n in sys.modules if n.startswith('opentelemetry')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


def test_where_it_is_not_installed_the_log_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The router serves nevertheless: the variable may be there for others."""
    monkeypatch.delitem(sys.modules, "raylax.router.observe.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    made = telemetry({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"})

    assert isinstance(made, NoTelemetry)
    assert "pip install 'raylax[tracing]'" in caplog.text


def test_an_attempt_ends_once() -> None:
    """At its first outcome; the same request may come back to the same worker."""
    now = iter(range(100))
    timeline = Timeline("call", lambda: float(next(now)))
    timeline.sent("r", "w0")
    timeline.left("r", "w0", Outcome.PARKED)
    timeline.left("r", "w0", Outcome.CANCELLED)
    timeline.sent("r", "w0")
    timeline.left("r", "elsewhere", Outcome.LOST)
    timeline.left("r", "w0", Outcome.ENDED)

    outcomes = [(attempt.worker, attempt.outcome) for attempt in timeline.attempts]
    assert outcomes == [("w0", Outcome.PARKED), ("w0", Outcome.ENDED)]
    for attempt in timeline.attempts:
        assert attempt.to_s is not None
        assert attempt.from_s < attempt.to_s
