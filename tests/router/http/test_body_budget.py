"""What all unfinished bodies together may hold, and that nobody is kept out by another's."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from raylax.router.access.keys import Key, hash_of
from tests.support.router_rig import PATIENCE_S, Rig, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
KIB = 1 << 10
LIMIT = 256 * KIB
ROOM = 2 * LIMIT
CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 2}
BOB, ALICE = {"Authorization": "Bearer bob"}, {"Authorization": "Bearer alice"}
Sent = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    keys = (Key("bob", hash_of("bob")), Key("alice", hash_of("alice")))
    async with running_router(
        checkpoint, keys=keys, max_body_bytes=LIMIT, max_bodies_bytes=0
    ) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


@asynccontextmanager
async def unfinished(rig: Rig, size: int, declared: int = LIMIT) -> AsyncIterator[Sent]:
    """A request of bob's that says so much of its body, and nothing more."""
    url = httpx.URL(rig.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bob\r\n"
    writer.write(f"{head}Content-Length: {declared}\r\n\r\n".encode() + b"x" * size)
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def held_by_bob(rig: Rig, *sizes: int) -> AsyncIterator[list[Sent]]:
    bodies = rig.models.state.bodies
    async with AsyncExitStack() as stack:
        sent = []
        for size in sizes:
            before = bodies.used
            sent.append(await stack.enter_async_context(unfinished(rig, size)))
            await until(lambda: bodies.used == before + size)  # noqa: B023
        yield sent
    await until(lambda: bodies.used == 0)


async def answer_to(sent: Sent) -> str:
    async with asyncio.timeout(PATIENCE_S):
        return (await sent[0].read(4 * KIB)).decode()


async def test_one_may_have_all_of_it_and_no_more(rig: Rig) -> None:
    """Who announces too much is refused before sending it, and when to come back."""
    async with (
        held_by_bob(rig, 250 * KIB, 250 * KIB),
        unfinished(rig, 0, declared=20 * KIB) as more,
    ):
        told = await answer_to(more)

    assert told.startswith("HTTP/1.1 429")
    assert "retry-after: 1\r\n" in told.lower()
    assert f"at most {ROOM} bytes of requests that are being read" in told
    assert f"it has {500 * KIB}" in told


async def test_what_comes_unannounced_is_counted_as_it_comes(rig: Rig) -> None:
    """Chunks, of which nobody says how many there will be."""
    url = httpx.URL(rig.url)
    async with held_by_bob(rig, 250 * KIB, 250 * KIB):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bob\r\n"
        chunk = b"%x\r\n%b\r\n" % (20 * KIB, b"x" * 20 * KIB)
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
        told = await answer_to((reader, writer))
        writer.close()

    assert told.startswith("HTTP/1.1 429")


async def test_another_tenant_gets_a_part(rig: Rig, client: httpx.AsyncClient) -> None:
    """What waits longest gives way, and hears of it."""
    async with held_by_bob(rig, 250 * KIB, 250 * KIB) as sent:
        body = json.dumps({**ASK, "user": "x" * 100 * KIB})
        chat = await client.post(CHAT, content=body, headers=ALICE)
        told = await answer_to(sent[0])

        assert chat.status_code == 200
        assert told.startswith("HTTP/1.1 429")
        assert "needed for callers that have fewer" in told
        assert rig.models.state.bodies.used == 250 * KIB


async def test_what_comes_out_of_a_packed_body_counts(rig: Rig, client: httpx.AsyncClient) -> None:
    """It is a thousandth on its way."""
    packed = gzip.compress(json.dumps({**ASK, "user": "x" * 200 * KIB}).encode())
    headers = {**BOB, "Content-Encoding": "gzip"}
    async with held_by_bob(rig, 250 * KIB, 100 * KIB):
        refused = await client.post(CHAT, content=packed, headers=headers)
    taken = await client.post(CHAT, content=packed, headers=headers)

    assert (refused.status_code, taken.status_code) == (429, 200)


@pytest.mark.parametrize("body", ["{", json.dumps(ASK), json.dumps({**ASK, "stream": True})])
async def test_nothing_is_left_of_bodies_that_were_read(
    rig: Rig, client: httpx.AsyncClient, body: str
) -> None:
    await client.post(CHAT, content=body, headers=BOB)

    assert rig.models.state.bodies.used == 0
