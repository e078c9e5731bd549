"""Signs of life while an answer has nothing to say, which are no part of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import pytest_asyncio

from raylax.router.http.keepalive import KeepAlive
from tests.support.router_rig import (
    Rig,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
HI: dict[str, Any] = {"role": "user", "content": "hi"}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [HI], "max_tokens": 6, "temperature": 0, "stream": True},
    RESPONSES: {"input": "hi", "max_output_tokens": 16, "temperature": 0, "stream": True},
    MESSAGES: {"messages": [HI], "max_tokens": 6, "temperature": 0, "stream": True},
}
BEGINNING: dict[str, list[list[str]]] = {
    CHAT: [],
    RESPONSES: [["response.created"], ["response.in_progress"]],
    MESSAGES: [["message_start"]],
}
COMMENT, EVENT = ": ping", 'event: ping\ndata: {"type":"ping"}'
TextOf = Callable[[str], Awaitable[str]]
FIRST_DELTA = {CHAT: '"content":', RESPONSES: "output_text.delta", MESSAGES: "text_delta"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """A router that is soon uneasy."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("raylax.router.http.keepalive.PING_S", 0.05)
        async with running_router(checkpoint) as made:
            yield made


def pings(events: list[str]) -> int:
    return events.count(COMMENT) + events.count(EVENT)


def spoken(events: list[str]) -> list[str]:
    """Without pings, and without what differs from call to call: ids, times, and how many tokens
    there were when Anthropic's first event was written."""
    varies = r'[a-z]+[-_][0-9a-f]{32}|"(created|created_at|output_tokens)":\d+'
    return [re.sub(varies, "", event) for event in events if event not in (COMMENT, EVENT)]


async def heard(
    client: httpx.AsyncClient,
    path: str,
    then: Callable[[list[str]], None] = lambda events: None,
    **more: Any,
) -> list[str]:
    """The stream's events; `then` sees them as they come."""
    events, rest = list[str](), ""
    async with client.stream("POST", path, **{"json": BODIES[path], **more}) as reply:
        assert reply.status_code == 200, await reply.aread()
        async for text in reply.aiter_text():
            *whole, rest = (rest + text).split("\n\n")
            events += whole
            then(events)
    assert rest == ""
    return events


def let_go_after(rig: Rig, count: int) -> Callable[[list[str]], None]:
    """Of pings."""

    def look(events: list[str]) -> None:
        if pings(events) >= count:
            rig.workers[0].let_go()

    return look


@pytest.mark.parametrize("path", BODIES)
async def test_headers_do_not_wait_for_a_late_first_token(
    rig: Rig, client: httpx.AsyncClient, path: str
) -> None:
    """Comments follow them, which every client has to skip; then the answer is as always."""
    await heard(client, path)
    want = await heard(client, path)
    rig.workers[0].hold(steps=0)
    got = await heard(client, path, let_go_after(rig, 2))

    assert got[:2] == [COMMENT, COMMENT]
    assert spoken(got) == spoken(want)


@pytest.mark.parametrize("path", BODIES)
async def test_a_pause_is_not_silent(rig: Rig, client: httpx.AsyncClient, path: str) -> None:
    """Anthropic's API has an event for that, for the others it is a comment. Pings are between
    events, and between those that there are without a pause."""
    await heard(client, path)
    want = await heard(client, path)
    rig.workers[0].hold(steps=3)
    ping = EVENT if path == MESSAGES else COMMENT

    def pings_in_the_pause(events: list[str]) -> int:
        begun = (at for at, event in enumerate(events) if FIRST_DELTA[path] in event)
        return events[next(begun, len(events)) :].count(ping)

    def let_go(events: list[str]) -> None:
        if pings_in_the_pause(events) >= 2:
            rig.workers[0].let_go()

    got = await heard(client, path, let_go)

    assert pings_in_the_pause(got) >= 2
    assert spoken(got) == spoken(want)


async def test_what_is_said_in_time_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping is for silence alone; a comment, until something has been said."""
    monkeypatch.setattr("raylax.router.http.keepalive.PING_S", 0.0)  # each turn of the loop
    written: list[bytes] = []

    async def write(ping: bytes) -> None:
        written.append(ping)

    async def turns(speaks: bool) -> list[bytes]:
        for turn in range(8):
            if speaks:
                keep_alive.said()
            await asyncio.sleep(0)
            if turn == 0:
                written.clear()  # of a ping that was under way
        return written.copy()

    keep_alive = KeepAlive(write, b"event")
    before, meanwhile, after = await turns(False), await turns(True), await turns(False)
    await keep_alive.stop()

    assert set(before) == {f"{COMMENT}\n\n".encode()}
    assert meanwhile == []
    assert set(after) == {b"event"}
    assert await turns(False) == []


@pytest.mark.parametrize("path", BODIES)
async def test_an_error_after_the_headers_is_an_event(
    rig: Rig, client: httpx.AsyncClient, path: str
) -> None:
    """Of a stream that has begun as its API wants it."""
    rig.workers[0].hold(steps=0)
    events = spoken(await heard(client, path, headers={"X-Request-Timeout": "0.4"}))
    rig.workers[0].let_go()
    *begun, error = [event for event in events if "[DONE]" not in event]

    assert [re.findall("event: (.*)", event) for event in begun] == BEGINNING[path]
    assert "did not end within" in error


async def test_a_client_that_leaves_before_the_first_token_ends_its_call(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    """Whether it has heard headers or not."""
    for wait in (False, True):
        rig.workers[0].hold(steps=0)
        async with client.stream("POST", CHAT, json=BODIES[CHAT]) as reply:
            if wait:
                await anext(aiter(reply.aiter_lines()))
        await until(lambda: not rig.service.journal)
        rig.workers[0].let_go()
        await until(lambda: not rig.workers[0].running)


async def test_pings_have_no_ids(rig: Rig, client: httpx.AsyncClient) -> None:
    """They are not kept: who comes back is told the events, with the same numbers."""
    rig.workers[0].hold(steps=3)
    headers = {"X-Raylax-Resume": "30"}
    first = await heard(client, CHAT, let_go_after(rig, 2), headers=headers)
    events = [event for event in first if event != COMMENT]
    call = events[0].split("\n")[0].removeprefix("id: ").rpartition(":")[0]
    again = (await client.get(f"/v1/streams/{call}")).text.split("\n\n")[:-1]

    assert pings(first) >= 2
    assert [event.split("\n")[0] for event in events] == [
        f"id: {call}:{number}" for number in range(1, len(events) + 1)
    ]
    assert again == events


@asynccontextmanager
async def overheard(url: str, then: Callable[[list[str]], None]) -> AsyncIterator[str]:
    """The same server at another address; what it says is seen by `then`."""

    async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter, seen: bool) -> None:
        text = ""
        while part := await source.read(1 << 16):
            to.write(part)
            if seen:
                text += part.decode()
                then(re.findall("event: ping\ndata: .*|: ping", text))
        to.close()

    async def relay(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        upper, lower = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        await asyncio.gather(carry(source, lower, seen=False), carry(upper, to, seen=True))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def chat_text(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream = await client.chat.completions.create(model="tiny", **BODIES[CHAT])
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def response_text(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        stream: Any = await client.responses.create(model="tiny", **BODIES[RESPONSES])
        texts = [str(one.delta) async for one in stream if one.type.endswith("text.delta")]
        return "".join(texts)


async def message_text(url: str) -> str:
    ask: dict[str, Any] = {"model": "tiny", "messages": [HI], "max_tokens": 6}
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="none") as client,
        client.messages.stream(**ask, extra_body={"temperature": 0}) as stream,
    ):
        return str(await stream.get_final_text())


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("text_of", [chat_text, response_text, message_text])
async def test_clients_skip_them(rig: Rig, text_of: TextOf, steps: int) -> None:
    """OpenAI's and Anthropic's own put the same answer together, whenever the pause is."""
    want = await text_of(rig.url)
    rig.workers[0].hold(steps)
    async with overheard(rig.url, let_go_after(rig, 3)) as url:
        got = await text_of(url)

    assert got == want != ""
