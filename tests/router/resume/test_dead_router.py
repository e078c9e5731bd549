"""A router ends in the middle of an answer, and another one goes on with it, to the byte."""

import errno
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.proto.errors import Overloaded
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.router.access.keys import Key
from raylax.router.access.rate_limits import full_account
from raylax.router.calls.models import Models
from raylax.router.config import RouterLimits
from raylax.router.resume import answer_log
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    a_router,
    channel,
    running_router,
    until,
)

HI = [{"role": "user", "content": "hi"}]
KEPT = {"X-Raylax-Resume": "30"}
DRAWN: dict[str, Any] = {"max_tokens": 24, "temperature": 1.0, "stream": True, "ignore_eos": True}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {**DRAWN, "messages": HI, "seed": 5}),
    "several choices": (
        "/v1/chat/completions",
        {**DRAWN, "messages": HI, "seed": 7, "n": 3, "stop": ["zz"], "max_tokens": 9},
    ),
    "log-probabilities": (
        "/v1/chat/completions",
        {**DRAWN, "messages": HI, "seed": 5, "logprobs": True, "top_logprobs": 2},
    ),
    "usage": (
        "/v1/completions",
        {**DRAWN, "prompt": "abc", "seed": 3, "stream_options": {"include_usage": True}},
    ),
    "messages": (
        "/v1/messages",
        {"messages": HI, "max_tokens": 24, "stream": True, "model": "tiny", "temperature": 0},
    ),
    "responses": (
        "/v1/responses",
        {"input": "hi", "max_output_tokens": 24, "stream": True, "temperature": 0},
    ),
}


@pytest.fixture
async def one(checkpoint: Path, tmp_path: Path) -> AsyncIterator[Rig]:
    """A router that keeps its answers in a directory, too."""
    async with running_router(checkpoint, answers=str(tmp_path)) as made:
        yield made


async def events(
    url: str, method: str, path: str, most: int = 10_000, **more: Any
) -> tuple[str, list[str]]:
    """The call's id, and the first events, each with its id."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
        client.stream(method, path, **more) as reply,
    ):
        assert reply.status_code == 200, await reply.aread()
        heard, event = [], ""
        async for line in reply.aiter_lines():
            if line.startswith(":"):
                continue
            event += line + "\n"
            if line == "" and event.strip():
                heard.append(event)
                event = ""
                if len(heard) == most:
                    break
        return reply.headers["X-Raylax-Call-Id"], heard


def plain(call: str, heard: list[str]) -> list[str]:
    """Choice by choice, without what differs from call to call; their numbers are in order."""
    assert [number_of(event) for event in heard] == list(range(1, len(heard) + 1))
    name = re.split("[-_]", call)[-1]
    so_far = r'"output_tokens":\d+,"output_tokens_details":null,"server'  # when a message begins
    differs = re.compile(rf'{name}(:\d+)?|"(created|created_at)":\d+(\.\d+)?|{so_far}')
    events = [differs.sub("", event) for event in heard]
    return sorted(events, key=lambda event: re.findall(r'"choices":\[{"index":(\d+)', event))


def number_of(event: str) -> int:
    return int(re.findall(r"^id: .*:(\d+)$", event, re.M)[0])


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def end(rig: Rig) -> None:
    """As far as others can tell: what it had is left as it was."""
    await rig.models.close()
    await until(lambda: not rig.service.journal)


@pytest.mark.parametrize("ask", ASKS)
async def test_an_answer_goes_on_at_another_router(one: Rig, ask: str) -> None:
    """With the same events under the same numbers as if nothing had happened."""
    path, body = ASKS[ask]
    await events(one.url, "POST", path, json=body)  # its pages are cached from now on
    whole = plain(*await events(one.url, "POST", path, json=body, headers=KEPT))
    one.workers[0].hold(steps=5)
    call, first = await events(one.url, "POST", path, most=4, json=body, headers=KEPT)
    await end(one)
    one.workers[0].let_go()
    async with a_router(one.models.config, one.workers) as other:
        last = {"Last-Event-ID": re.findall("^id: (.*)$", first[-1], re.M)[0]}
        _, rest = await events(other.url, "GET", f"/v1/streams/{call}", headers=last)
        _, again = await events(other.url, "GET", f"/v1/streams/{call}")

    assert again == first + rest
    assert plain(call, again) == whole


async def test_what_was_let_in_is_not_refused_by_a_router_that_is_full(one: Rig) -> None:
    """Its places, the answers that it keeps, and what the key may use are spent."""
    path, body = ASKS["several choices"]
    one.workers[0].hold(steps=5)
    call, first = await events(one.url, "POST", path, most=4, json=body, headers=KEPT)
    await end(one)
    one.workers[0].let_go()
    config = replace(one.models.config, limits=RouterLimits.model_construct(max_inflight=0))
    models = Models([config])
    models.state.rate_limiter._anybody = full_account(Key("", "", max_concurrent=1), 1)
    models.state.kept_answers._shares.total = 0
    async with a_router(config, one.workers, models) as other:
        _, again = await events(other.url, "GET", f"/v1/streams/{call}")

    assert again[:4] == first
    assert "[DONE]" in again[-1]


async def test_a_grpc_answer_goes_on_at_another_router(one: Rig) -> None:
    sampling = raylax_pb2.Sampling(max_tokens=20, seed=3, ignore_eos=True)
    ask = raylax_pb2.GenerateRequest(text="hi", sampling=sampling, resume_ttl_s=30)
    async with channel(one.grpc_address) as here:
        stub = raylax_pb2_grpc.RaylaxStub(here)
        whole = [reply async for reply in stub.Generate(ask)]
        one.workers[0].hold(steps=6)
        call = stub.Generate(ask)
        first = [await anext(aiter(call)) for _ in range(3)]
        call.cancel()
    await end(one)
    one.workers[0].let_go()
    async with (
        a_router(one.models.config, one.workers) as other,
        channel(other.grpc_address) as there,
    ):
        resume = raylax_pb2.ResumeRequest(id=first[0].id, after_sequence=3)
        rest = [r.generate async for r in raylax_pb2_grpc.RaylaxStub(there).ResumeStream(resume)]

    assert [(r.sequence, r.text) for r in first + rest] == [(r.sequence, r.text) for r in whole]
    assert rest[-1].usage == whole[-1].usage


async def test_an_answer_that_had_ended_can_be_read_at_another_router(one: Rig) -> None:
    path, body = ASKS["chat"]
    call, whole = await events(one.url, "POST", path, json=body, headers=KEPT)
    await end(one)
    async with a_router(one.models.config, one.workers) as other:
        _, again = await events(other.url, "GET", f"/v1/streams/{call}")

    assert again == whole


async def test_while_its_router_lives_nobody_else_goes_on(one: Rig, checkpoint: Path) -> None:
    """Though it does not answer: its client is to come again soon."""
    path, body = ASKS["chat"]
    one.workers[0].hold(steps=3)
    call, _ = await events(one.url, "POST", path, most=2, json=body, headers=KEPT)
    async with a_router(one.models.config, one.workers) as other, httpx.AsyncClient() as client:
        other.models.peers.heard([])
        reply = await client.get(f"{other.url}/v1/streams/{call}")
    one.workers[0].let_go()

    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("part", ["places.taken", "kept_answers.begin"])
async def test_who_is_refused_may_come_again(
    one: Rig, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that has begun is not lost because a router is full at that moment."""
    path, body = ASKS["chat"]
    call, whole = await events(one.url, "POST", path, json=body, headers=KEPT)
    await end(one)

    def refuse(*_: object, **__: object) -> None:
        raise Overloaded("full", retry_after_s=1.0)

    async with a_router(one.models.config, one.workers) as other, httpx.AsyncClient() as client:
        owner, _, method = part.partition(".")
        with monkeypatch.context() as full:
            full.setattr(type(getattr(other.service.state, owner)), method, refuse)
            with suppress(httpx.RemoteProtocolError):  # the head may be out
                reply = await client.get(f"{other.url}/v1/streams/{call}")
                assert "full" in reply.text
        _, again = await events(other.url, "GET", f"/v1/streams/{call}")

    assert again == whole


async def test_files_go_with_the_answers(one: Rig, tmp_path: Path) -> None:
    """What is forgotten leaves none, what was never to be kept makes none."""
    path, body = ASKS["chat"]
    await events(one.url, "POST", path, json=body)
    await events(one.url, "POST", path, json=body, headers={"X-Raylax-Resume": "0.05"})
    await until(lambda: not one.service.state.kept_answers)

    assert files_in(tmp_path) == []


async def test_one_of_another_model_is_not_gone_on_with(one: Rig, tmp_path: Path) -> None:
    """Its tokens would be others."""
    path, body = ASKS["chat"]
    call, _ = await events(one.url, "POST", path, json=body, headers=KEPT)
    await end(one)
    (file,) = files_in(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"model_id": ""', b'"model_id":"x"'))
    async with a_router(one.models.config, one.workers) as other, httpx.AsyncClient() as client:
        reply = await client.get(f"{other.url}/v1/streams/{call}")

    assert json.loads(reply.text)["error"]["message"].startswith("no answer")
    assert reply.status_code == 404


@pytest.mark.parametrize("writes", [0, 1])
async def test_a_stream_that_cannot_be_kept_any_more_goes_on_and_says_so(
    writes: int, one: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, in a comment, which clients skip; nothing else differs."""
    path, ask = ASKS["chat"]
    await events(one.url, "POST", path, json=ask)  # its pages are cached from now on
    first, heard = await events(one.url, "POST", path, json=ask, headers=KEPT)
    want = plain(first, heard)
    for file in files_in(tmp_path):
        file.unlink()
    write, left = answer_log.write_all, [None] * writes

    def until_it_is_full(file: int, data: bytes) -> None:
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        write(file, data)

    monkeypatch.setattr(answer_log, "write_all", until_it_is_full)
    async with httpx.AsyncClient(base_url=one.url, timeout=PATIENCE_S) as client:
        reply = await client.post(path, json=ask, headers=KEPT)
    call = reply.headers["X-Raylax-Call-Id"]
    comments = [line for line in reply.text.splitlines() if line.startswith(":")]
    said = await events(one.url, "GET", f"/v1/streams/{call}")

    assert comments == [": ends with its router from here on: No space left on device"]
    assert plain(*said) == want
    assert files_in(tmp_path) == []
