"""What stands around a call: ids, traces, deadlines, priorities, limits, CORS, and TLS."""

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
import trustme

from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.vocabulary import CallOrigin, Priority, Request
from raylax.router.access.keys import Key, hash_of
from raylax.router.observe.trace_context import (
    TraceContext,
    our_span,
    parse,
    state_in,
)
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    channel,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET, HIGH, POOR = "a secret", "a secret of a high class", "a secret with limits"
WEALTHY = "a secret with limits that are not reached"
KEYS = (
    Key("alice", hash_of(SECRET), share=2.5),
    Key("bob", hash_of(HIGH), priority=Priority.HIGH),
    Key("poor", hash_of(POOR), requests_per_minute=2, tokens_per_minute=6000),
    Key("wealthy", hash_of(WEALTHY), requests_per_minute=5, tokens_per_minute=6000),
)
ORIGIN = "https://chat.example.org"
CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 4}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def begun(parents: list[str], states: tuple[str, ...] = ()) -> TraceContext:
    """Our span, where nobody records what begins here."""
    return our_span(parents, states, random.Random(1), lambda trace_id: False)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, keys=KEYS, cors_origins=(ORIGIN,)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=rig.url, timeout=PATIENCE_S, headers=bearer(SECRET)
    ) as made:
        yield made


@asynccontextmanager
async def underway(rig: Rig, asking: "asyncio.Task[Any]") -> AsyncIterator[Request]:
    """The one request of a call, as it has gone to a worker; then it may end."""
    await until(lambda: len(rig.service.journal) or asking.done())
    (entry,) = rig.service.journal._entries.values()
    yield entry.request
    rig.workers[0].let_go()
    await asking


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 128])
async def test_a_clients_request_id_comes_back(
    client: httpx.AsyncClient, given: str, stream: bool
) -> None:
    """Beside the id of the call, which is that of the body."""
    body = {**ASK, "stream": stream}
    reply = await client.post(CHAT, json=body, headers={"X-Request-Id": given})

    assert reply.headers.get_list("x-request-id") == [given]
    assert reply.headers["x-raylax-call-id"].startswith("chatcmpl-")
    assert reply.headers["x-raylax-call-id"] in reply.text


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "a\tb", "é"])
async def test_without_a_usable_one_there_is_ours(
    client: httpx.AsyncClient, given: str | None
) -> None:
    """Another one for each call; what could spoil a log does not get there."""
    headers = {} if given is None else {b"X-Request-Id": given.encode()}
    replies = [await client.post(CHAT, json=ASK, headers=headers) for _ in range(2)]
    ids = {reply.headers["x-request-id"] for reply in replies}

    assert len(ids) == 2
    assert all(re.fullmatch("req-[0-9a-f]{32}", id) for id in ids)


async def test_errors_have_their_ids_too(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, wrong, or nowhere to be found; and the log has a line of each."""
    caplog.set_level(logging.INFO, logger="raylax.router.access.refusals")
    for n, (path, headers) in enumerate(
        [(CHAT, bearer("guess")), (CHAT, {}), ("/v1/nothing", {}), ("/health", {})]
    ):
        reply = await client.post(path, content=b"{", headers={"X-Request-Id": f"n{n}", **headers})

        assert reply.status_code >= 400
        assert reply.headers["x-request-id"] == f"n{n}"
        assert f"{reply.status_code}" in caplog.messages[-1]
        assert f"request=n{n} call=-" in caplog.messages[-1]


@pytest.mark.parametrize(
    "given",
    [
        PARENT,
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-ff",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-brings",
    ],
)
async def test_a_trace_goes_on(given: str) -> None:
    """Below the caller's span, sampled if that is."""
    parent, ours = parse(given), begun([given])

    assert parent is not None
    assert f"{ours}".split("-")[1] == TRACE
    assert f"{ours}".split("-")[2] != SPAN
    assert ours.sampled == parent.sampled == (not given.endswith("-00"))


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        [PARENT.upper()],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"{PARENT}-more"],
        [f"00-{TRACE}-{SPAN}"],
        [PARENT, PARENT],
    ],
)
async def test_a_malformed_trace_is_as_good_as_none(given: list[str]) -> None:
    """A new one begins, which nobody has asked to be sampled."""
    ours = begun(given)

    assert f"{ours}".split("-")[1] != TRACE
    assert not ours.sampled
    assert parse(f"{ours}") == ours


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (["a=1 , b=2", "", "c=3,,"], "a=1,b=2,c=3"),
        (["1tenant/x@system=<~! >"], "1tenant/x@system=<~! >"),
        ([f"{'k' * 256}={'v' * 256}"], f"{'k' * 256}={'v' * 256}"),
        ([",".join(f"k{i}=v" for i in range(32))], ",".join(f"k{i}=v" for i in range(32))),
        ([], ""),
        ([",".join(f"k{i}=v" for i in range(33))], ""),
        ([f"{'k' * 257}=v"], ""),
        ([f"k={'v' * 257}"], ""),
        (["a=1,b"], ""),
        (["a=1", "a=2"], ""),
        (["A=1"], ""),
        (["1=1"], ""),
        (["a="], ""),
        (["a=b=c"], ""),
        (["a=\x7f"], ""),
        (["a@1=x"], ""),
        (["a@b@c=x"], ""),
    ],
)
async def test_a_state_goes_on_if_it_is_well_formed(given: list[str], state: str) -> None:
    """Several headers are one; a malformed member spoils all, but not the trace."""
    ours = begun([PARENT], tuple(given))

    assert state_in(given) == ours.state == state
    assert f"{ours}".split("-")[1] == TRACE


async def test_a_state_without_its_trace_is_dropped() -> None:
    assert begun([], ("a=1",)).state == begun(["malformed"], ("a=1",)).state == ""


async def test_a_worker_is_told_of_the_trace(rig: Rig, client: httpx.AsyncClient) -> None:
    """Of the same span that the client is; the state is for those further on."""
    rig.workers[0].hold(steps=1)
    headers = {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE"}
    asking = asyncio.create_task(client.post(CHAT, json=ASK, headers=headers))
    async with underway(rig, asking) as request:
        pass

    assert request.traceparent.startswith(f"00-{TRACE}-")
    assert request.tracestate == "congo=t61rcWkgMzE"
    assert asking.result().headers["traceparent"] == request.traceparent
    assert "tracestate" not in asking.result().headers


@pytest.mark.parametrize(
    ("secret", "headers", "body", "priority"),
    [
        (SECRET, {}, {}, Priority.NORMAL),
        (SECRET, {}, {"priority": "low"}, Priority.LOW),
        (SECRET, {}, {"priority": 0}, Priority.NORMAL),
        (SECRET, {"X-Raylax-Priority": "high"}, {}, Priority.NORMAL),
        (HIGH, {}, {}, Priority.NORMAL),
        (HIGH, {}, {"priority": "HIGH"}, Priority.HIGH),
        (HIGH, {}, {"priority": 2}, Priority.LOW),
        (HIGH, {"X-Raylax-Priority": "High"}, {}, Priority.HIGH),
        (HIGH, {"X-Raylax-Priority": "low"}, {"priority": "high"}, Priority.LOW),
    ],
)
async def test_a_request_has_the_class_that_its_key_may_ask_for(
    rig: Rig,
    client: httpx.AsyncClient,
    secret: str,
    headers: dict[str, str],
    body: dict[str, Any],
    priority: Priority,
) -> None:
    """By name or number, in the body or, which holds over it, in a header. And its tenant, with
    the share of that."""
    rig.workers[0].hold(steps=1)
    asking = asyncio.create_task(
        client.post(CHAT, json={**ASK, **body}, headers={**bearer(secret), **headers})
    )
    async with underway(rig, asking) as request:
        pass

    assert request.priority == priority
    assert (request.tenant, request.share) == {SECRET: ("alice", 2.5), HIGH: ("bob", 1.0)}[secret]


@pytest.mark.parametrize(
    ("headers", "body", "param"),
    [
        ({"X-Raylax-Priority": "urgent"}, {}, "X-Raylax-Priority"),
        ({}, {"priority": 3}, "priority"),
        ({}, {"priority": True}, "priority"),
        ({"X-Request-Timeout": "soon"}, {}, "X-Request-Timeout"),
        ({"X-Request-Timeout": "0"}, {}, "X-Request-Timeout"),
        ({"X-Request-Timeout": "nan"}, {}, "X-Request-Timeout"),
        ({"X-Request-Timeout": "inf"}, {}, "X-Request-Timeout"),
    ],
)
async def test_a_mistake_names_the_header_or_field(
    client: httpx.AsyncClient, headers: dict[str, str], body: dict[str, Any], param: str
) -> None:
    reply = await client.post(CHAT, json={**ASK, **body}, headers=headers)

    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


async def test_the_soonest_deadline_holds(rig: Rig, client: httpx.AsyncClient) -> None:
    """Of the header and the body; nothing is left of the request."""
    for headers, body in (
        ({"X-Request-Timeout": "0.2"}, {}),
        ({"X-Request-Timeout": "0.2"}, {"timeout": 50}),
        ({"X-Request-Timeout": "50"}, {"timeout": 0.2}),
    ):
        rig.workers[0].hold(steps=1)
        reply = await client.post(CHAT, json={**ASK, **body}, headers=headers)
        rig.workers[0].let_go()

        assert reply.status_code == 504
        assert not rig.service.journal


async def test_deadlines_are_compared(rig: Rig) -> None:
    origin, nobody = CallOrigin(timeout_s=5.0), CallOrigin()
    call = rig.service.frontend.completion(CompletionRequest(prompt=[1], timeout=3.0), origin)

    assert [origin.soonest(t) for t in (None, 2.0, 9.0)] == [5.0, 2.0, 5.0]
    assert [r.deadline_s for r in call.requests] == [3.0]
    assert (nobody.soonest(None), nobody.soonest(7.0, None)) == (None, 7.0)


CHAT_REQUEST = raylax_pb2.ChatRequest(
    messages=[raylax_pb2.Message(role="user", content="hi")],
    sampling=raylax_pb2.Sampling(temperature=0, max_tokens=4),
)


@pytest.mark.parametrize(
    ("secret", "asked", "priority"),
    [
        (SECRET, "", Priority.NORMAL),
        (SECRET, "low", Priority.LOW),
        (SECRET, "high", Priority.NORMAL),
        (HIGH, "high", Priority.HIGH),
    ],
)
@pytest.mark.parametrize("method", ["Chat", "Generate"])
async def test_a_grpc_request_may_ask_for_a_class(
    rig: Rig, secret: str, asked: str, priority: Priority, method: str
) -> None:
    """By its field; never for more than its key may."""
    sampling, messages = CHAT_REQUEST.sampling, CHAT_REQUEST.messages
    message = {
        "Chat": raylax_pb2.ChatRequest(messages=messages, sampling=sampling, priority=asked),
        "Generate": raylax_pb2.GenerateRequest(text="hi", sampling=sampling, priority=asked),
    }[method]
    async with channel(rig.grpc_address) as made:
        rig.workers[0].hold(steps=1)
        call = getattr(raylax_pb2_grpc.RaylaxStub(made), method)(
            message, metadata=(("authorization", f"Bearer {secret}"),)
        )

        async def read() -> None:
            async for _ in call:
                pass

        async with underway(rig, asyncio.create_task(read())) as request:
            pass

    assert request.priority == priority


async def test_grpc_metadata_says_the_same(rig: Rig) -> None:
    """Ids and the trace come back behind the answer, or behind the error."""
    metadata = (
        ("authorization", f"Bearer {HIGH}"),
        ("x-request-id", "mine"),
        ("x-raylax-priority", "high"),
        ("x-request-timeout", "50"),
        ("traceparent", PARENT),
    )
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        rig.workers[0].hold(steps=1)
        call = stub.Chat(CHAT_REQUEST, metadata=metadata, timeout=PATIENCE_S)

        async def read() -> None:
            async for _ in call:
                pass

        asking = asyncio.create_task(read())
        async with underway(rig, asking) as request:
            pass
        trailing = dict(await call.trailing_metadata() or ())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.Chat(raylax_pb2.ChatRequest(), metadata=metadata):
                pass
        error = dict(caught.value.trailing_metadata() or ())

    assert (request.tenant, request.priority) == ("bob", Priority.HIGH)
    assert request.deadline_s is not None
    assert request.deadline_s <= PATIENCE_S or request.deadline_s == 50
    assert trailing["x-request-id"] == error["x-request-id"] == "mine"
    assert trailing["traceparent"] == request.traceparent
    assert request.traceparent.startswith(f"00-{TRACE}-")


async def test_who_asks_too_often_is_told_when_to_return(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """Every answer says what is left, in OpenAI's headers; others are not concerned."""
    replies = [await client.post(CHAT, json=ASK, headers=bearer(POOR)) for _ in range(3)]
    left = [reply.headers["x-ratelimit-remaining-requests"] for reply in replies]
    tokens = replies[0].json()["usage"]["total_tokens"]
    other = await client.post(CHAT, json=ASK)

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert left == ["1", "0", "0"]
    assert int(replies[2].headers["x-ratelimit-remaining-tokens"]) >= 6000 - 2 * tokens
    assert replies[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(replies[2].headers["retry-after"]) <= 30
    assert other.status_code == 200
    assert "x-ratelimit-limit-requests" not in other.headers


async def test_grpc_tells_what_is_left(rig: Rig) -> None:
    """Behind the answer and behind an error, by the names of the HTTP headers: both are requests,
    the error has no tokens."""
    metadata = (("authorization", f"Bearer {WEALTHY}"),)
    left = []
    async with channel(rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        for message in (CHAT_REQUEST, raylax_pb2.ChatRequest(), CHAT_REQUEST):
            call = stub.Chat(message, metadata=metadata)
            with suppress(grpc.aio.AioRpcError):
                async for _ in call:
                    pass
            left.append(dict(await call.trailing_metadata() or ()))

    assert [one["x-ratelimit-limit-requests"] for one in left] == ["5"] * 3
    assert [one["x-ratelimit-remaining-requests"] for one in left] == ["4", "3", "2"]
    assert all(int(one["x-ratelimit-remaining-tokens"]) < 6000 for one in left)
    assert "x-ratelimit-reset-tokens" in left[0]


async def test_grpc_calls_count_as_well(rig: Rig) -> None:
    """Against the same limits: there is one book for a key."""
    metadata = (("authorization", f"Bearer {POOR}"),)
    codes = set()
    async with channel(rig.grpc_address) as made:
        for _ in range(3):
            try:
                async for _ in raylax_pb2_grpc.RaylaxStub(made).Chat(
                    CHAT_REQUEST, metadata=metadata
                ):
                    pass
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
                assert "2 requests a minute" in (error.details() or "")

    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}


async def test_a_browser_may_ask_from_the_origins_that_are_named(
    client: httpx.AsyncClient,
) -> None:
    """Its question beforehand brings no key; what it may read of an answer is listed."""
    question = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "a"}
    async with httpx.AsyncClient(base_url=client.base_url) as stranger:
        asked = [
            await stranger.options(CHAT, headers={"Origin": origin, **question})
            for origin in (ORIGIN, "https://evil.example.org")
        ]
    answers = [
        await client.post(CHAT, json=ASK, headers={"Origin": ORIGIN, **headers})
        for headers in ({}, bearer("guess"))
    ]

    assert [reply.status_code for reply in asked] == [200, 400]
    assert "access-control-allow-origin" not in asked[1].headers
    assert [reply.status_code for reply in answers] == [200, 401]
    for reply in (asked[0], *answers):
        assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-Id" in answers[0].headers["access-control-expose-headers"]


async def test_grpc_over_tls(checkpoint: Path, tmp_path: Path) -> None:
    """Who trusts the authority is answered; who speaks plainly is not."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    trusting = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with running_router(checkpoint, tls_cert=str(cert), tls_key=str(key)) as rig:
        address = rig.grpc_address.replace("127.0.0.1", "localhost")
        request = raylax_pb2.ListModelsRequest()
        async with grpc.aio.secure_channel(address, trusting) as made:
            models = await raylax_pb2_grpc.RaylaxStub(made).ListModels(
                request, timeout=PATIENCE_S, wait_for_ready=True
            )
        async with channel(rig.grpc_address) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raylax_pb2_grpc.RaylaxStub(plain).ListModels(request, timeout=PATIENCE_S)

    assert [model.id for model in models.models] == ["tiny"]
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
