"""Whole answers that wait for their readers: bounded, with a part for each tenant, and an end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.types import Message

from raylax.router.access.byte_budget import ByteBudget
from raylax.router.access.keys import Key, hash_of
from raylax.router.http.sending import AnswerSender
from tests.support.router_rig import PATIENCE_S, Rig, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
KIB = 1 << 10
COUNT = 100_000
LARGE = {"prompt": "x" * COUNT, "return_token_strs": True}
BYTES = 7 * COUNT
"""About those of its answer."""
ROOM = 9 * BYTES // 4
SMALL = {"prompt": "x"}
Sent = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    keys = (Key("bob", hash_of("bob")), Key("alice", hash_of("alice")))
    async with running_router(checkpoint, keys=keys, max_answers_bytes=ROOM) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


async def asked(rig: Rig, who: str, stack: AsyncExitStack) -> Sent:
    """A client that asks for a large answer, and reads nothing of it until it is told to."""
    url = httpx.URL(rig.url)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1 << 10)
    stack.callback(writer.close)
    body = json.dumps(LARGE).encode()
    head = f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {who}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


async def all_of(sent: Sent) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        return await sent[0].read()


async def test_a_large_answer_is_whole(rig: Rig, client: httpx.AsyncClient) -> None:
    """However slowly it is read, as long as it is read at all."""
    headers = {"Authorization": "Bearer bob"}
    reading = client.stream("POST", "/tokenize", json=LARGE, headers=headers)
    content = b""
    async with reading as response:
        async for part in response.aiter_bytes(100 * KIB):
            content += part
            await asyncio.sleep(0.01)

    assert json.loads(content)["count"] == COUNT
    assert rig.models.state.answers.used == 0


async def test_who_reads_nothing_is_cut_off(checkpoint: Path) -> None:
    """And what waited for them is let go."""
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running_router(checkpoint, read_timeout_s=0.5))
        answers = rig.models.state.answers
        sent = await asked(rig, "", stack)
        await until(lambda: answers.used > BYTES // 2)
        await until(lambda: answers.used == 0)
        told = await all_of(sent)

    assert told.startswith(b"HTTP/1.1 200")
    assert len(told) < BYTES


async def test_no_more_may_wait_than_there_is_room_for(rig: Rig, client: httpx.AsyncClient) -> None:
    """One tenant may have all of it; then there is a status for that, and small ones still go."""
    answers = rig.models.state.answers
    headers = {"Authorization": "Bearer bob"}
    async with AsyncExitStack() as stack:
        await asked(rig, "bob", stack)
        await until(lambda: answers.of("bob") > BYTES // 2)
        await asked(rig, "bob", stack)
        await until(lambda: answers.of("bob") > 3 * BYTES // 2)
        refused = await client.post("/tokenize", json=LARGE, headers=headers)
        small = await client.post("/tokenize", json=SMALL, headers=headers)

    assert (refused.status_code, small.status_code) == (429, 200)
    assert f"at most {ROOM} bytes of answers that wait" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"


async def test_another_tenant_gets_a_part(rig: Rig, client: httpx.AsyncClient) -> None:
    """The answer that has waited longest is given up."""
    answers = rig.models.state.answers
    await until(lambda: answers.used == 0)
    async with AsyncExitStack() as stack:
        first = await asked(rig, "bob", stack)
        await until(lambda: answers.of("bob") > BYTES // 2)
        await asked(rig, "bob", stack)
        await until(lambda: answers.of("bob") > 3 * BYTES // 2)
        alice = await client.post(
            "/tokenize", json=LARGE, headers={"Authorization": "Bearer alice"}
        )
        told = await all_of(first)

    assert alice.status_code == 200
    assert alice.json()["count"] == COUNT
    assert len(told) < BYTES


async def test_an_answer_counts_while_it_is_made(rig: Rig, client: httpx.AsyncClient) -> None:
    """Log-probabilities are a hundred times what they are about. A stream keeps none of them."""
    ask = {
        "messages": [{"role": "user", "content": "hi"}],
        "n": 16, "max_tokens": 100, "logprobs": True, "top_logprobs": 20, "ignore_eos": True,
    }  # fmt: skip
    headers = {"Authorization": "Bearer bob"}
    answers = rig.models.state.answers
    asking = asyncio.create_task(client.post("/v1/chat/completions", json=ask, headers=headers))
    await until(lambda: answers.of("bob") or asking.done())
    assert not asking.done()
    whole = await asking
    stream = await client.post(
        "/v1/chat/completions", json={**ask, "stream": True}, headers=headers
    )

    assert whole.status_code == 429
    assert "bytes of answers that wait" in whole.json()["error"]["message"]
    assert stream.text.endswith("data: [DONE]\n\n")
    assert stream.text.count('"top_logprobs"') == 16 * 100
    assert answers.used == 0


async def test_a_large_part_of_a_stream_counts_until_it_is_read() -> None:
    """It has no end of its own: a stream waits for its reader."""
    budget, reading = ByteBudget(ROOM, "answers"), asyncio.Semaphore(0)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        await reading.acquire()
        sent.append(message)

    part = {"type": "http.response.body", "body": b"x" * 1000 * KIB, "more_body": True}
    sending = asyncio.create_task(AnswerSender(budget, 0.01).send(part, "bob", send))
    await until(lambda: budget.of("bob") == 1000 * KIB)
    for _ in range(100):
        reading.release()
    await sending

    assert b"".join(message["body"] for message in sent) == part["body"]
    assert all(message["more_body"] for message in sent)
    assert budget.used == 0
