"""Calls and workers that end early: everybody is told, and nothing is left behind."""

import asyncio
import json
import random
import re
import socket
from pathlib import Path

import httpx
import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.vocabulary import Request
from raylax.proto.wire.frames import Connection
from raylax.proto.wire.outlook import Outlook
from raylax.router.policies import policy_named
from raylax.router.workers.inbox import Inbox, InboxItem, WorkerLost
from raylax.router.workers.registry import Workers
from raylax.worker.config import EngineConfig
from raylax.worker.serving.listener import HelloListener
from tests.support.router_rig import (
    PATIENCE_S,
    TOKEN,
    Rig,
    channel,
    running_router,
    until,
)

CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 8}
LONG = {**ASK, "max_tokens": 200}


async def nothing_is_left(rig: Rig) -> None:
    """In journal, connections, books and engines."""
    await until(lambda: not rig.service.journal and not any(w.running for w in rig.workers))
    await until(lambda: not any(v.own_requests for v in rig.router.ledger.fleet.views()))

    assert all(
        f"{connection!r}".split(", ")[1] == "0 requests"
        for connection in rig.router._connections.values()
    )
    assert rig.service.measures.gauges["raylax_calls_inflight"] == 0


class Scripted:
    """A worker that says what it is told to say, and then nothing: not even that it is there."""

    def __init__(self, *deltas: pb.Delta) -> None:
        self._deltas, self.listener = deltas, HelloListener(TOKEN, self._on_hello)

    def _on_hello(self, connection: Connection, hello: pb.Hello) -> None:
        def hear(message: bytes) -> None:
            command = pb.Command.FromString(message)
            for delta in self._deltas:
                delta.request_id = command.submit.request_id
                connection.send(pb.StepReport(deltas=[delta]).SerializeToString())

        connection.on_message = hear
        connection._ticking.cancel()
        report = pb.StepReport(load=pb.Load(pages_total=1, pages_free=1))
        connection.send(report.SerializeToString())


async def heard_from(worker: Scripted) -> tuple[InboxItem, Workers]:
    """What a request's inbox gets of such a worker, which may be silent for a fifth of a second."""
    workers = Workers(
        policy_named("round-robin"), TOKEN, lambda: 0.0, random.Random(), silence_s=0.2
    )
    workers.set_members({"odd": await worker.listener.open("127.0.0.1")})
    await until(lambda: workers.ready)
    inbox = Inbox(on_full=lambda: None)
    workers.submit(workers.route(Request("r", (5,), 4)), inbox)
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance(heard := (await inbox.take())[-1], WorkerLost):
            pass
    worker.listener.abort()
    workers.close()
    return heard, workers


async def test_a_worker_that_says_nothing_is_lost() -> None:
    heard, workers = await heard_from(Scripted())

    assert heard == WorkerLost("odd", "r", "nothing was heard for 0.2 s")
    assert (workers.ready, repr(workers)) == ([], "Workers([], Ledger(Fleet()))")


async def test_who_was_begun_when_a_worker_fell_silent_is_no_only_suspect() -> None:
    """It may have been the network."""
    heard, _ = await heard_from(Scripted(pb.Delta(began=True, fault="engine")))

    assert heard == WorkerLost("odd", "r", "nothing was heard for 0.2 s", accused=True, alone=False)


async def test_a_worker_that_talks_nonsense_is_lost() -> None:
    """Nobody waits for a reader that gave up."""
    heard, workers = await heard_from(Scripted(pb.Delta(finish="maybe", fault="engine")))

    assert heard == WorkerLost("odd", "r", "what it said was not understood")
    assert workers.ready == []


async def test_a_member_that_leaves_is_given_nothing_more(rig: Rig) -> None:
    """At once, whatever it reports; and again when it is back."""
    members = {w.worker_id: w.address for w in rig.workers}
    reports = rig.router.ledger.fleet.heard_at
    rig.router.set_members({})
    assert rig.router.ready == []
    before = reports.copy()
    await until(lambda: (reports > before).any())

    assert rig.router.ready == []
    rig.router.set_members(members)
    await until(lambda: rig.router.ready == ["w0"])


async def test_who_has_left_and_does_not_end_is_lost_in_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests must not stay for ever."""
    monkeypatch.setattr("raylax.router.workers.registry.LEAVE_S", 0.05)

    def gone() -> bool:
        rig.router.set_members({})
        return not rig.router._connections

    await until(gone)
    assert "w0" not in rig.router.ledger.fleet


@pytest.mark.parametrize("stream", [False, True])
async def test_without_workers_the_answer_is_503(checkpoint: Path, stream: bool) -> None:
    """After a while, for they come back; and it says when to try again; streamed too."""
    async with (
        running_router(checkpoint, worker_patience_s=0.2) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        await rig.workers[0].die()
        await until(lambda: not rig.router.ready)
        reply = await client.post(CHAT, json={**ASK, "stream": stream})

        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        said = reply.json()["error"]["message"]
        assert said == "no worker was ready within 0.2 s; none is on its way"
        await nothing_is_left(rig)


async def test_a_worker_that_starts_is_waited_for(checkpoint: Path) -> None:
    """For longer than one of which nobody knows; and a model without workers serves, for the
    next request brings one."""
    async with (
        running_router(checkpoint, worker_patience_s=0.05) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        want = (await client.post(CHAT, json=ASK)).json()["choices"]
        rig.models.expect("tiny", Outlook(0, 0, None, 20.0), now_s=1000.0)
        rig.router.set_members({})
        health = await client.get("/health")
        rig.models.expect("tiny", Outlook(0, 1, 1000.0, 20.0), now_s=1000.0)
        asking = asyncio.create_task(client.post(CHAT, json=ASK))
        await until(lambda: (told := rig.service.journal.without_worker()) and told[0].tries > 3)
        rig.router.set_members({w.worker_id: w.address for w in rig.workers})

        assert (health.status_code, health.json()) == (
            200, {"status": "no worker until somebody asks", "workers": []},
        )  # fmt: skip
        assert (await asking).json()["choices"] == want


@pytest.mark.parametrize(
    ("max_wait_s", "asked", "status", "why"),
    [
        (0.3, {}, 503, r"no worker was ready within 0.3 s; the next one is expected in 0 s"),
        (60.0, {"timeout": 0.3}, 504, r"the answer did not end within 0\.\d+ s, its deadline; "
         r"no worker is ready"),
    ],
)  # fmt: skip
async def test_a_start_that_takes_too_long_is_told(
    checkpoint: Path, max_wait_s: float, asked: dict[str, float], status: int, why: str
) -> None:
    """After what a call may wait for its turn, or when its own time is over."""
    async with (
        running_router(checkpoint, worker_patience_s=0.05, max_wait_s=max_wait_s) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        rig.router.set_members({})
        rig.models.expect("tiny", Outlook(0, 1, 1000.0, 20.0), now_s=1030.0)
        reply = await client.post(CHAT, json={**ASK, **asked})

        assert reply.status_code == status
        assert re.fullmatch(why, reply.json()["error"]["message"])
        await nothing_is_left(rig)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_worker_is_429(checkpoint: Path, stream: bool) -> None:
    """It refuses what it cannot take, in the middle of a call of many choices."""
    async with (
        running_router(checkpoint, engine=EngineConfig(max_num_sequence=1, max_waiting=1)) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        rig.workers[0].hold(steps=0)
        reply = await client.post(CHAT, json={**ASK, "n": 3, "stream": stream})
        rig.workers[0].let_go()

        assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
        assert "may run or wait" in reply.json()["error"]["message"]
        await nothing_is_left(rig)


async def test_an_engine_that_is_reset_goes_on_with_its_requests(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """They are continued, not ended: the client sees the answer that it would have seen."""
    want = (await client.post(CHAT, json=LONG)).json()["choices"]
    rig.workers[0].hold(steps=5)
    asking = asyncio.create_task(client.post(CHAT, json=LONG))
    await until(lambda: any(e.emitted for e in rig.service.journal._entries.values()))
    resetting = asyncio.create_task(asyncio.to_thread(rig.workers[0].engine.reset))
    rig.workers[0].let_go()
    await resetting

    assert (await asking).json()["choices"] == want
    await nothing_is_left(rig)


async def unread(rig: Rig, body: dict[str, object]) -> asyncio.StreamWriter:
    """A client that asks for a stream and never reads."""
    host, port = rig.url.removeprefix("http://").split(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
    _, writer = await asyncio.open_connection(sock=small, limit=1)
    content = json.dumps({**body, "stream": True}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: [::1]\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    return writer


async def test_a_client_that_does_not_read_is_not_kept(rig: Rig) -> None:
    """Its stream is larger than all buffers; after its time nothing is held for it."""
    body = {**LONG, "n": 16, "logprobs": True, "top_logprobs": 20, "timeout": 2}
    writer = await unread(rig, body)
    await until(lambda: len(rig.service.journal) == 16)
    await nothing_is_left(rig)
    writer.close()


async def test_a_grpc_client_that_leaves_while_it_does_not_read(rig: Rig) -> None:
    sampling = raylax_pb2.Sampling(max_tokens=200, n=16, top_logprobs=20, ignore_eos=True)
    ask = raylax_pb2.GenerateRequest(text="hi", sampling=sampling)
    async with channel(rig.grpc_address) as made:
        call = raylax_pb2_grpc.RaylaxStub(made).Generate(ask)
        await until(lambda: len(rig.service.journal) == 16)
        call.cancel()

    await nothing_is_left(rig)
