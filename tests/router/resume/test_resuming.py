"""Answers outlive their clients for a while, and go on where they were left."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.router_rig import (
    Rig,
    until,
)

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 30, "temperature": 1.0, "seed": 5, "ignore_eos": True, "stream": True,
}  # fmt: skip
KEPT = {"X-Raylax-Resume": "30"}


def events_of(lines: list[str]) -> list[tuple[str, str]]:
    """Ids and data, without what differs from call to call."""
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    texts = [d if d == "[DONE]" else json.dumps(json.loads(d)["choices"]) for d in data]
    return list(zip(ids, texts, strict=True))


async def lines_of(
    client: httpx.AsyncClient, method: str, path: str, most: int = 10_000, **more: Any
) -> tuple[str, list[str]]:
    """The call's id and the stream's first lines; the client leaves after that."""
    lines = []
    async with client.stream(method, path, **more) as reply:
        assert reply.status_code == 200, await reply.aread()
        async for line in reply.aiter_lines():
            lines.append(line)
            if len(lines) >= most:
                break
    return reply.headers["X-Raylax-Call-Id"], lines


async def test_a_stream_goes_on_where_its_client_was_cut_off(client: httpx.AsyncClient) -> None:
    _, want = await lines_of(client, "POST", CHAT, json=ASK, headers=KEPT)
    call, first = await lines_of(client, "POST", CHAT, most=15, json=ASK, headers=KEPT)
    heard = events_of(first)
    last = {"Last-Event-ID": heard[-1][0]}
    _, rest = await lines_of(client, "GET", f"/v1/streams/{call}", headers=last)
    texts = [text for _, text in heard + events_of(rest)]

    assert texts == [text for _, text in events_of(want)]
    assert texts[-1] == "[DONE]"


async def test_the_answer_is_made_while_nobody_reads(rig: Rig, client: httpx.AsyncClient) -> None:
    call, _ = await lines_of(client, "POST", CHAT, most=3, json=ASK, headers=KEPT)
    await until(lambda: not rig.service.journal)
    _, whole = await lines_of(client, "GET", f"/v1/streams/{call}")

    assert events_of(whole)[-1] == (f"{call}:{len(events_of(whole))}", "[DONE]")


async def test_who_has_heard_everything_is_told_that_it_is_over(client: httpx.AsyncClient) -> None:
    call, lines = await lines_of(client, "POST", CHAT, json=ASK, headers=KEPT)
    last = {"Last-Event-ID": events_of(lines)[-1][0]}
    _, rest = await lines_of(client, "GET", f"/v1/streams/{call}", headers=last)

    assert rest == []


async def test_a_call_that_fails_before_its_first_token_is_not_kept(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """Who asked has heard why; there is nothing to come back to."""
    rig.workers[0].hold(steps=0)
    late = {**KEPT, "X-Request-Timeout": "0.05"}
    reply = await client.post(CHAT, json=ASK, headers=late)
    rig.workers[0].let_go()

    assert (reply.status_code, len(rig.service.state.kept_answers)) == (504, 0)


async def test_two_may_read_the_same_answer(client: httpx.AsyncClient) -> None:
    call, _ = await lines_of(client, "POST", CHAT, most=3, json=ASK, headers=KEPT)
    path = f"/v1/streams/{call}"
    (_, one), (_, other) = await asyncio.gather(
        lines_of(client, "GET", path), lines_of(client, "GET", path)
    )

    assert one == other


async def test_an_answer_is_forgotten_when_nobody_comes(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """And what still runs of it is cancelled."""
    rig.workers[0].hold(steps=3)
    short = {"X-Raylax-Resume": "0.2"}
    call, _ = await lines_of(client, "POST", CHAT, most=3, json=ASK, headers=short)
    await until(lambda: len(rig.service.state.kept_answers) == 0)
    await until(lambda: not rig.service.journal)
    rig.workers[0].let_go()
    reply = await client.get(f"/v1/streams/{call}")

    assert reply.status_code == 404
    assert "no answer" in reply.json()["error"]["message"]


async def test_without_the_header_a_client_that_leaves_ends_its_call(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    rig.workers[0].hold(steps=3)
    await lines_of(client, "POST", CHAT, most=2, json=ASK)
    await until(lambda: not rig.service.journal)
    rig.workers[0].let_go()

    assert len(rig.service.state.kept_answers) == 0


@pytest.mark.parametrize("headers", [{"Last-Event-ID": "another:3"}, {"Last-Event-ID": "nonsense"}])
async def test_an_id_of_something_else_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    call, _ = await lines_of(client, "POST", CHAT, json=ASK, headers=KEPT)
    reply = await client.get(f"/v1/streams/{call}", headers=headers)

    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "Last-Event-ID"


@pytest.mark.parametrize("value", ["-1", "soon", "inf", "nan"])
async def test_the_time_to_keep_an_answer_must_be_seconds(
    client: httpx.AsyncClient, value: str
) -> None:
    reply = await client.post(CHAT, json=ASK, headers={"X-Raylax-Resume": value})

    assert reply.status_code == 400


async def test_an_answer_that_may_not_be_kept_ends_with_an_event(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """Its client has heard the beginning. Nothing is left of it, and the next one is kept."""
    rig.service.state.kept_answers._bytes.total = 1000
    _, lines = await lines_of(client, "POST", CHAT, json=ASK, headers=KEPT)
    await until(lambda: not rig.service.journal)
    *_, last = [line for line in lines if line]
    rig.service.state.kept_answers._bytes.total = 100_000
    _, again = await lines_of(client, "POST", CHAT, json=ASK, headers=KEPT)

    assert lines[0].endswith(":1")
    assert "may have 1000 bytes" in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert "data: [DONE]" in again
