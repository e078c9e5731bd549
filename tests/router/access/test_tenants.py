"""What one tenant names, asks and keeps is nothing to another: neither to touch nor to know of."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
import pytest_asyncio

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc, vllm_engine_pb2_grpc
from raylax.proto.pb import vllm_engine_pb2 as engine_pb2
from raylax.router.access.keys import Key, hash_of
from tests.support.router_rig import PATIENCE_S, Rig, a_router, channel, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
TENANTS = ("alice", "bob", "root")
KEYS = (
    Key("alice", hash_of("alice's key"), tokens_per_minute=1_000_000),
    Key("bob", hash_of("bob's key")),
    Key("root", hash_of("root's key"), admin=True),
)
CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "ignore_eos": True,
    "temperature": 0, "stream": True,
}  # fmt: skip
KEPT = {"X-Raylax-Resume": "30"}
NAME = "a-name"
STATUSES = {grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.PERMISSION_DENIED: 403}
COUNTED = ("calls", "prompt_tokens", "generated_tokens", "running")
SAMPLING = raylax_pb2.Sampling(temperature=0, max_tokens=6, ignore_eos=True)


def bearer(tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant}'s key"}


def metadata(tenant: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {tenant}'s key"),)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rigs(checkpoint: Path) -> AsyncIterator[tuple[Rig, Rig]]:
    """Two routers that know each other, before the same worker."""
    async with (
        running_router(checkpoint, keys=KEYS) as one,
        a_router(one.models.config, one.workers) as other,
    ):
        addresses = {one.models.peers.address, other.models.peers.address}
        await until(lambda: one.models.peers._others | other.models.peers._others == addresses)
        yield one, other


@pytest.fixture
def rig(rigs: tuple[Rig, Rig]) -> Rig:
    return rigs[0]


async def get(rig: Rig, tenant: str, path: str) -> tuple[int, str]:
    async with httpx.AsyncClient(timeout=PATIENCE_S, headers=bearer(tenant)) as client:
        reply = await client.get(rig.url + path)
    return reply.status_code, reply.text


async def asked(rig: Rig, **headers: str) -> str:
    """Alice's call by HTTP: its id."""
    async with httpx.AsyncClient(timeout=PATIENCE_S, headers=bearer("alice")) as client:
        reply = await client.post(rig.url + CHAT, json=ASK, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.headers["X-Raylax-Call-Id"]


async def asked_by_grpc(rig: Rig) -> str:
    """Alice's call by gRPC, whose answer is kept: its id."""
    async with channel(rig.grpc_address) as made:
        ask = raylax_pb2.GenerateRequest(text="hi", sampling=SAMPLING, resume_ttl_s=30)
        stub = raylax_pb2_grpc.RaylaxStub(made)
        replies = [one async for one in stub.Generate(ask, metadata=metadata("alice"))]
    return replies[0].id


async def told_by(call: Awaitable[Any]) -> tuple[int, str]:
    """What a call by gRPC says, in HTTP's terms."""
    try:
        return 200, str(await call)
    except grpc.aio.AioRpcError as error:
        return STATUSES.get(error.code(), 500), error.details() or ""


async def stream(rig: Rig, tenant: str, call_id: str) -> tuple[int, str]:
    return await get(rig, tenant, f"/v1/streams/{call_id}")


async def stream_of_grpc_as_events(rig: Rig, tenant: str, call_id: str) -> tuple[int, str]:
    return await get(rig, tenant, f"/v1/streams/grpc:{call_id}")


async def explanation(rig: Rig, tenant: str, call_id: str) -> tuple[int, str]:
    return await get(rig, tenant, f"/explain/{call_id}")


async def stream_by_grpc(rig: Rig, tenant: str, call_id: str) -> tuple[int, str]:
    async def read() -> list[Any]:
        async with channel(rig.grpc_address) as made:
            resume = raylax_pb2.ResumeRequest(id=call_id)
            replies = raylax_pb2_grpc.RaylaxStub(made).ResumeStream(
                resume, metadata=metadata(tenant)
            )
            return [one async for one in replies]

    return await told_by(read())


async def explanation_by_grpc(rig: Rig, tenant: str, call_id: str) -> tuple[int, str]:
    async with channel(rig.grpc_address) as made:
        ask = raylax_pb2.ExplainRequest(request_id=call_id)
        return await told_by(
            raylax_pb2_grpc.RaylaxStub(made).Explain(ask, metadata=metadata(tenant))
        )


Look = Callable[[Rig, str, str], Awaitable[tuple[int, str]]]


@pytest.mark.parametrize("at", [0, 1], ids=["this router", "another router"])
@pytest.mark.parametrize(
    ("look", "by_grpc", "admin"),
    [
        (stream, False, 404),
        (explanation, False, 200),
        (stream_by_grpc, True, 404),
        (explanation_by_grpc, True, 200),
    ],
)
async def test_what_is_kept_of_a_call_is_for_its_tenant(
    rigs: tuple[Rig, Rig], look: Look, by_grpc: bool, admin: int, at: int
) -> None:
    """Admins may see what happened to any call, and read no answer but their own. To others it is
    as if there were no such call, word for word."""
    call_id = await (asked_by_grpc(rigs[0]) if by_grpc else asked(rigs[0], **KEPT))
    found = {tenant: await look(rigs[at], tenant, call_id) for tenant in TENANTS}
    unknown = f"{call_id[:20]}{'0' if call_id[20] != '0' else '1'}{call_id[21:]}"
    nothing = await look(rigs[at], "bob", unknown)

    assert {tenant: status for tenant, (status, _) in found.items()} == {
        "alice": 200, "bob": 404, "root": admin
    }  # fmt: skip
    assert found["bob"] == nothing


async def test_answers_of_grpc_are_no_events(rig: Rig) -> None:
    """A path names an answer of HTTP, whatever stands in it."""
    call_id = await asked_by_grpc(rig)

    assert (await stream_of_grpc_as_events(rig, "alice", call_id))[0] == 404


async def test_a_name_of_a_request_is_its_tenants(rig: Rig) -> None:
    """Another one uses the same at the same time, and aborts nothing by it but its own."""
    ask = engine_pb2.GenerateRequest(
        request_id=NAME,
        text="hi",
        sampling_params=engine_pb2.SamplingParams(max_tokens=12, ignore_eos=True),
    )
    worker = rig.workers[0]
    async with channel(rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)

        async def ends(tenant: str) -> list[str]:
            replies = stub.Generate(ask, metadata=metadata(tenant))
            return [one.complete.finish_reason async for one in replies]

        worker.hold(steps=1)
        hers = asyncio.create_task(ends("alice"))
        await until(lambda: len(rig.service.journal) == 1)
        stop = engine_pb2.AbortRequest(request_ids=[NAME])
        await stub.Abort(stop, metadata=metadata("bob"))  # of which he has none
        his = asyncio.create_task(ends("bob"))
        await until(lambda: len(rig.service.journal) == 2)
        await stub.Abort(stop, metadata=metadata("bob"))
        aborted = await his
        worker.let_go()

        assert (aborted, await hers) == (["abort"], ["length"])


async def test_a_tenant_is_told_what_it_has_had(rig: Rig) -> None:
    """And nothing of what others have."""
    before = {tenant: json.loads((await get(rig, tenant, "/usage"))[1]) for tenant in TENANTS}
    await asked(rig)
    after = {tenant: json.loads((await get(rig, tenant, "/usage"))[1]) for tenant in TENANTS}

    assert after["bob"] == before["bob"]
    assert (after["bob"]["tenant"], after["alice"]["tenant"]) == ("bob", "alice")
    gained = {name: after["alice"][name] - before["alice"][name] for name in COUNTED}
    assert (gained["calls"], gained["generated_tokens"], gained["running"]) == (1, 6, 0)
    assert gained["prompt_tokens"] > 1
    assert after["alice"]["limits"]["x-ratelimit-limit-tokens"] == "1000000"
    assert after["bob"]["limits"] == {}


async def test_the_engine_protocol_tells_a_tenant_its_own(rig: Rig) -> None:
    """How many requests run and when the last one came; where files lie, and what all workers have
    to do, is for admins."""
    worker, told = rig.workers[0], {}
    ask = engine_pb2.GenerateRequest(
        text="hi", sampling_params=engine_pb2.SamplingParams(max_tokens=6, ignore_eos=True)
    )
    async with channel(rig.grpc_address) as made:
        stub = vllm_engine_pb2_grpc.VllmEngineStub(made)
        worker.hold(steps=1)
        begun = time.time()
        call = stub.Generate(ask, metadata=metadata("alice"))
        await until(lambda: len(rig.service.journal) == 1)
        for tenant in TENANTS:
            who = metadata(tenant)
            info = await stub.GetModelInfo(engine_pb2.GetModelInfoRequest(), metadata=who)
            server = await stub.GetServerInfo(engine_pb2.GetServerInfoRequest(), metadata=who)
            loads, _ = await told_by(stub.GetLoads(engine_pb2.GetLoadsRequest(), metadata=who))
            path = str(rig.service.frontend.files.directory)
            told[tenant] = (
                path in str(info), server.active_requests,
                server.last_receive_timestamp >= begun, loads,
            )  # fmt: skip
        worker.let_go()
        async for _ in call:
            pass

    assert told == {
        "alice": (False, 1, True, 403), "bob": (False, 0, False, 403), "root": (True, 1, True, 200),
    }  # fmt: skip


async def test_a_session_of_one_tenant_is_none_of_anothers(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom a policy sends after a session's name, it sends after the tenant's, too."""
    seen: list[str] = []
    route = rig.router.route

    def noting(request: Any, session: str = "", *more: Any) -> Any:
        seen.append(session)
        return route(request, session, *more)

    monkeypatch.setattr(rig.router, "route", noting)
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        for tenant, session in (("alice", NAME), ("bob", NAME), ("bob", "")):
            headers = bearer(tenant) | ({"X-Session-Id": session} if session else {})
            await client.post(CHAT, json=ASK, headers=headers)

    assert len(set(seen)) == 3
    assert seen[2] == ""
