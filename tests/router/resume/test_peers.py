"""Several routers in front of the same workers: clients may come back to any of them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.pb import engine_pb2_grpc, raylax_pb2, raylax_pb2_grpc
from raylax.proto.wire.peer_proof import QUESTION
from raylax.router.resume.peers import KEPT, Peers
from tests.support.router_rig import (
    PATIENCE_S,
    TOKEN,
    Rig,
    a_router,
    channel,
    running_router,
    until,
)

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 20, "temperature": 1.0, "seed": 5, "ignore_eos": True, "stream": True,
}  # fmt: skip


@pytest.fixture
async def two(checkpoint: Path) -> AsyncIterator[tuple[Rig, Rig]]:
    async with (
        running_router(checkpoint) as one,
        a_router(one.models.config, one.workers) as other,
    ):
        addresses = {one.models.peers.address, other.models.peers.address}
        await until(lambda: one.models.peers._others | other.models.peers._others == addresses)
        yield one, other


async def events(url: str, method: str, path: str, **more: Any) -> tuple[str, list[str]]:
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
        client.stream(method, path, **more) as reply,
    ):
        assert reply.status_code == 200, await reply.aread()
        lines = [line async for line in reply.aiter_lines() if line.startswith(("id", "data"))]
        return reply.headers["X-Raylax-Call-Id"], lines


async def test_workers_count_both(two: tuple[Rig, Rig]) -> None:
    """Who is one of several does not take the minimum only."""
    await until(lambda: [rig.router.ledger.fleet.routers for rig in two] == [2, 2])


async def test_an_answer_is_resumed_at_another_router(two: tuple[Rig, Rig]) -> None:
    one, other = two
    kept = {"X-Raylax-Resume": "30"}
    call, whole = await events(one.url, "POST", CHAT, json=ASK, headers=kept)
    last = {"Last-Event-ID": f"{call}:7"}
    _, rest = await events(other.url, "GET", f"/v1/streams/{call}", headers=last)

    assert rest == whole[14:]
    assert rest[-1] == "data: [DONE]"


async def test_a_grpc_answer_is_resumed_at_another_router(two: tuple[Rig, Rig]) -> None:
    one, other = two
    sampling = raylax_pb2.Sampling(max_tokens=9, seed=3, ignore_eos=True)
    ask = raylax_pb2.GenerateRequest(text="hi", sampling=sampling, resume_ttl_s=30)
    async with channel(one.grpc_address) as here, channel(other.grpc_address) as there:
        whole = [reply async for reply in raylax_pb2_grpc.RaylaxStub(here).Generate(ask)]
        resume = raylax_pb2.ResumeRequest(id=whole[0].id, after_sequence=4)
        rest = [r.generate async for r in raylax_pb2_grpc.RaylaxStub(there).ResumeStream(resume)]

    assert rest == whole[4:]


async def test_a_timeline_is_told_by_another_router(two: tuple[Rig, Rig]) -> None:
    one, other = two
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        reply = await client.post(one.url + CHAT, json={**ASK, "stream": False})
        told = [await client.get(f"{rig.url}/explain/{reply.json()['id']}") for rig in two]
        unknown = await client.get(f"{other.url}/explain/nobody")

    assert told[0].json() == told[1].json()
    assert json.loads(told[1].text)["choices"][0]["chosen"] == "w0"
    assert unknown.status_code == 404


async def test_measures_are_those_of_all_routers(two: tuple[Rig, Rig]) -> None:
    """Whichever of them is asked: a scraper does not know which one it meets."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for rig in (two[0], two[0], two[1]):
            await client.post(rig.url + CHAT, json={**ASK, "stream": False})
        texts = [(await client.get(f"{rig.url}/metrics")).text for rig in two]

    assert texts[0] == texts[1]
    series = {
        sample.name: sample.value
        for family in text_string_to_metric_families(texts[0])
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }
    assert series["vllm:request_success_total"] == 3
    assert series["vllm:time_to_first_token_seconds_count"] == 3


async def test_measures_of_a_router_that_has_died_are_missed(two: tuple[Rig, Rig]) -> None:
    one, other = two
    other.models.peers.heard([other.models.peers.address, "127.0.0.1:1"])
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        reply = await client.get(f"{other.url}/metrics")

    assert reply.status_code == 200
    assert "vllm:request_success" in reply.text


async def test_what_a_peer_keeps_is_for_the_cluster_only(two: tuple[Rig, Rig]) -> None:
    async with grpc.aio.insecure_channel(two[0].models.peers.address) as made:
        stub = engine_pb2_grpc.PeerStub(made)
        for call in (
            stub.Tell(pb.TellRequest(call_id="x")),
            stub.Measure(pb.MeasureRequest()),
            stub.Show(pb.ShowRequest()),
            stub.Recall(pb.RecallRequest(ids=["x"])),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call

            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_routers_of_other_machines_show_certificates(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They understand each other; who has none of the cluster's, or speaks plainly, is nobody."""
    for module in ("peers", "peer_server"):
        monkeypatch.setattr(f"raylax.router.resume.{module}.crosses_a_wire", lambda host: True)
    async with running_router(checkpoint) as one:
        address, friend, guess = one.models.peers.address, Peers(TOKEN), Peers("a guess")
        for peers in (friend, guess):
            peers.heard([address])
        told = [await friend.measures(), await guess.measures()]
        async with grpc.aio.insecure_channel(address) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await engine_pb2_grpc.PeerStub(plain).Measure(pb.MeasureRequest())

    assert [len(one) for one in told] == [1, 0]
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


class Squatter(engine_pb2_grpc.PeerServicer):
    """Another user's server, at the address of a router that has died."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    async def Tell(self, request: pb.TellRequest, context: Any) -> pb.Story:
        self.heard.append(tuple(context.invocation_metadata()))
        return pb.Story(json="{}")

    async def Measure(self, request: pb.MeasureRequest, context: Any) -> pb.Measures:
        self.heard.append(tuple(context.invocation_metadata()))
        return pb.Measures(json=b'{"router":"forged","models":{}}')

    async def Show(self, request: pb.ShowRequest, context: Any) -> pb.Shown:
        self.heard.append(tuple(context.invocation_metadata()))
        return pb.Shown(json=b'{"router":"forged"}')

    async def Recall(self, request: pb.RecallRequest, context: Any) -> pb.Recalled:
        self.heard.append(tuple(context.invocation_metadata()))
        forged = [pb.StoredResponse(id=id) for id in request.ids]
        return pb.Recalled(found=forged)

    async def Trace(self, request: pb.TraceRequest, context: Any) -> None:  # type: ignore[override]
        self.heard.append(tuple(context.invocation_metadata()))
        await context.write(pb.Traced(now_s=1.0, content=b"{}"))

    async def Read(self, request: pb.ReadRequest, context: Any) -> None:  # type: ignore[override]
        self.heard.append(tuple(context.invocation_metadata()))
        await context.send_initial_metadata((KEPT,))
        await context.write(pb.Part(number=1, kind="event", content=b"data: forged"))


async def test_who_has_taken_a_dead_routers_place_is_told_and_believed_nothing(
    two: tuple[Rig, Rig],
) -> None:
    """Nor can what he hears be used to ask another router."""
    squatter, server = Squatter(), grpc.aio.server()
    engine_pb2_grpc.add_PeerServicer_to_server(squatter, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    peers = Peers(TOKEN)
    peers.heard([address])
    told, read = await peers.tell("x", None), await peers.read("x", "alice", 0)
    measured, traced = await peers.measures(), await peers.traces()
    shown, recalled = await peers.numbers(PATIENCE_S), await peers.recall(["x"], "alice")
    await server.stop(None)
    async with grpc.aio.insecure_channel(two[0].models.peers.address) as made:
        proof = [one for one in squatter.heard[0] if one[0] == QUESTION]
        again = engine_pb2_grpc.PeerStub(made).Tell(pb.TellRequest(call_id="x"), metadata=proof)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await again

    assert told is None and read is None and measured == []
    assert shown == {address: None} and recalled == {}
    assert traced == ([], {f"router {address}": "it does not answer in time"})
    assert len(squatter.heard) == 6 and TOKEN not in str(squatter.heard)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
