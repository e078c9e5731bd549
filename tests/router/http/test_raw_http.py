"""HTTP as no library writes it: what is odd but allowed works, and leaves the connection usable."""

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.router_rig import PATIENCE_S, Rig, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "temperature": 0,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, max_body_bytes=10_000) as made:
        yield made


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *requests: bytes) -> None:
        self._writer.write(b"".join(requests))
        await self._writer.drain()

    async def reply(self, to_head: bool = False) -> Reply:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            if "chunked" in headers.get("transfer-encoding", ""):
                body = await self._chunks()
            else:
                length = 0 if to_head else int(headers.get("content-length", "0"))
                body = await self._reader.readexactly(length)
        return Reply(int(status.split()[1]), headers, body)

    async def until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    async def ended(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read(1) == b""

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
        return body


@asynccontextmanager
async def connected(rig: Rig) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(*rig.url.removeprefix("http://").split(":"))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


def request(
    method: str, path: str, body: bytes = b"", *headers: str, version: str = "1.1"
) -> bytes:
    length = f"Content-Length: {len(body)}"
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", length, *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(**more: Any) -> bytes:
    return json.dumps({**ASK, **more}).encode()


async def one(rig: Rig, *asked: bytes, to_head: bool = False) -> Reply:
    """Its reply; after that the connection still serves."""
    async with connected(rig) as connection:
        await connection.send(*asked)
        reply = await connection.reply(to_head)
        await connection.send(request("GET", "/health/live"))
        assert (await connection.reply()).status == 200
    return reply


async def test_requests_in_a_row_are_answered_in_a_row(rig: Rig) -> None:
    """All sent before the first answer: a whole one, a stream, errors."""
    async with connected(rig) as connection:
        await connection.send(
            request("POST", CHAT, ask()),
            request("GET", "/nowhere"),
            request("POST", CHAT, ask(stream=True)),
            request("POST", CHAT, b"{"),
            request("GET", MODELS),
        )
        replies = [await connection.reply() for _ in range(5)]

    assert [reply.status for reply in replies] == [200, 404, 200, 400, 200]
    assert replies[2].body.endswith(b"data: [DONE]\n\n")
    assert json.loads(replies[4].body)["data"][0]["id"] == "tiny"


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_a_slash_at_the_end_means_nothing(rig: Rig, path: str) -> None:
    """No redirect: behind a proxy it would name the wrong scheme, and send the key there."""
    reply = await one(rig, request("POST", f"{path}/", ask()))

    assert reply.status == 200


async def test_a_list_of_models_is_no_model_without_a_name(rig: Rig) -> None:
    reply = await one(rig, request("GET", f"{MODELS}/"))

    assert json.loads(reply.body)["object"] == "list"


async def test_a_head_is_a_get_without_its_body(rig: Rig) -> None:
    got = await one(rig, request("GET", MODELS))
    head = await one(rig, request("HEAD", MODELS), to_head=True)

    assert (head.status, head.headers["content-length"]) == (200, str(len(got.body)))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
async def test_a_wrong_method_is_told_the_right_one(rig: Rig, method: str) -> None:
    reply = await one(rig, request(method, CHAT), to_head=method == "HEAD")

    assert (reply.status, reply.headers["allow"]) == (405, "options, post")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (CHAT, "options, post"),
        (f"{CHAT}/", "options, post"),
        (MODELS, "get, head, options"),
        (f"{MODELS}/tiny", "get, head, options"),
        ("/health", "get, head, options"),
        ("/v1/responses/x", "delete, get, head, options"),
        ("/v1/responses/x/cancel", "options, post"),
    ],
)
async def test_every_path_says_what_may_be_done_there(rig: Rig, path: str, allow: str) -> None:
    """Without a body, and without doing it."""
    reply = await one(rig, request("OPTIONS", path), to_head=True)

    assert (reply.status, reply.headers["allow"]) == (204, allow)
    assert "transfer-encoding" not in reply.headers
    assert (await one(rig, request("OPTIONS", "/nothing"))).status == 404


async def test_a_body_may_come_in_chunks(rig: Rig) -> None:
    body = ask()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"

    assert (await one(rig, head, chunks)).status == 200


async def test_who_asks_whether_to_go_on_is_told_to(rig: Rig) -> None:
    body = ask()
    async with connected(rig) as connection:
        asked = request("POST", CHAT, body, "Expect: 100-continue")
        await connection.send(asked[: -len(body)])
        go_on = await connection.reply()
        await connection.send(body)
        reply = await connection.reply()

    assert (go_on.status, reply.status) == (100, 200)


async def test_a_refused_body_does_not_spoil_the_connection(rig: Rig) -> None:
    """Its rest is still on the way then."""
    reply = await one(rig, request("POST", CHAT, b"x" * (1 << 20)))

    assert reply.status == 413


async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(rig: Rig) -> None:
    async with connected(rig) as connection:
        await connection.send(
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10001\r\n\r\n".encode()
        )
        reply = await connection.reply()

    assert reply.status == 413
    assert b"it has 10001" in reply.body


async def test_a_body_without_a_length_is_refused_where_the_limit_is(rig: Rig) -> None:
    """Its rest need not come for that."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with connected(rig) as connection:
        await connection.send(head, b"2711\r\n" + b" " * 10001 + b"\r\n")
        reply = await connection.reply()

    assert reply.status == 413
    assert b"10000 bytes" in reply.body


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b"\xef\xbb\xbf" * 2 + ask(),
        json.dumps(ASK).encode("utf-16"),
        ask() + b"x",
        b"\x00",
    ],
)
async def test_bytes_that_are_no_json_are_refused(rig: Rig, body: bytes) -> None:
    reply = await one(rig, request("POST", CHAT, body))

    assert reply.status == 400
    assert "not valid JSON" in json.loads(reply.body)["error"]["message"]


@pytest.mark.parametrize("more", [(), ("Connection: keep-alive",)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_old_protocol_ends_with_its_answer(
    rig: Rig, streamed: bool, more: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """It knows no chunks: what has no length ends with the connection, even if it is to stay."""
    asked = ask(stream=streamed)
    async with connected(rig) as connection:
        await connection.send(request("POST", CHAT, asked, *more, version="1.0"))
        reply = await connection.reply()
        rest = await connection.rest()

    assert reply.status == 200
    assert "transfer-encoding" not in reply.headers
    assert reply.headers["connection"] == "close"
    assert caplog.records == []
    if streamed:
        events = [event for event in rest.decode().split("\n\n") if event]
        assert all(event.startswith("data: ") for event in events)
        assert events[-1] == "data: [DONE]"
        json.loads(events[0].removeprefix("data: "))
    else:
        assert json.loads(reply.body)["object"] == "chat.completion"


async def test_the_old_protocol_s_streams_come_as_they_are_made(rig: Rig) -> None:
    """They are not kept until their length is known."""
    rig.workers[0].hold(steps=2)
    async with connected(rig) as connection:
        asked = ask(stream=True, max_tokens=40, ignore_eos=True)
        await connection.send(request("POST", CHAT, asked, version="1.0"))
        await connection.reply()
        first = await connection.until(b"\n\n")
        rig.workers[0].let_go()
        rest = await connection.rest()

    assert first.startswith(b"data: ")
    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "APPLICATION/JSON ; CHARSET=utf8",
        "application/vnd.api+json",
        "text/plain; charset=iso-8859-1",
        "application/x-www-form-urlencoded",
        "",
        "no type at all",
    ],
)
async def test_a_body_is_json_whatever_its_type(rig: Rig, kind: str) -> None:
    """And in UTF-8, with or without its mark."""
    for mark in (b"", b"\xef\xbb\xbf"):
        reply = await one(rig, request("POST", CHAT, mark + ask(), f"Content-Type: {kind}"))

        assert reply.status == 200


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "X-GZip": gzip.compress, "deflate": zlib.compress,
    " Deflate": raw_deflate, "identity": bytes, "identity, gzip": gzip.compress, "": bytes,
}  # fmt: skip


@pytest.mark.parametrize("coding", PACKED)
async def test_a_body_may_be_packed(rig: Rig, coding: str) -> None:
    for body in (ask(), b"\xef\xbb\xbf" + ask()):
        packed = PACKED[coding](body)
        reply = await one(rig, request("POST", CHAT, packed, f"Content-Encoding: {coding}"))

        assert reply.status == 200
        assert json.loads(reply.body)["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip, br", "compress", "*"])
async def test_an_unknown_packing_is_told_what_there_is(rig: Rig, coding: str) -> None:
    reply = await one(rig, request("POST", CHAT, ask(), f"Content-Encoding: {coding}"))
    error = json.loads(reply.body)["error"]

    assert (reply.status, error["param"]) == (415, "Content-Encoding")
    assert "gzip, deflate and identity" in error["message"] and coding in error["message"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/tokenize", "/cluster/drain/w9"])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_unpacks_to_more_than_a_body_may_have_is_refused(
    rig: Rig, path: str, coding: str
) -> None:
    """However small it is: the limit of this router is 10,000 bytes."""
    fits = PACKED[coding](b" " * 9_998 + b"{}")
    bomb = PACKED[coding](b" " * 9_999 + b"{}")
    said = (f"Content-Encoding: {coding}", "Content-Type: application/json")
    replies = [await one(rig, request("POST", path, body, *said)) for body in (fits, bomb)]

    assert len(bomb) < 200
    assert replies[0].status in (200, 400, 404)
    assert replies[1].status == 413
    assert b"10000 bytes" in replies[1].body


@pytest.mark.parametrize(
    "body",
    [ask(), gzip.compress(ask())[:-9], gzip.compress(ask()) + b"x", gzip.compress(ask()) * 2, b""],
    ids=["not packed", "cut off", "more behind it", "two members", "nothing"],
)
async def test_a_damaged_packing_is_a_mistake(rig: Rig, body: bytes) -> None:
    reply = await one(rig, request("POST", CHAT, body, "Content-Encoding: gzip"))

    assert reply.status == 400
    assert "not valid" in json.loads(reply.body)["error"]["message"]


async def test_of_a_header_that_comes_twice_one_holds(rig: Rig) -> None:
    """Of ids the first; of what limits a call the last, and a wrong one is refused."""
    ids = await one(rig, request("GET", MODELS, b"", "X-Request-Id: a", "X-Request-Id: b"))
    times = ("X-Request-Timeout: 9", "X-Request-Timeout: soon")
    wrong = await one(rig, request("POST", CHAT, ask(), *times))

    assert ids.headers["x-request-id"] == "a"
    assert wrong.status == 400


async def test_headers_may_hold_any_bytes(rig: Rig) -> None:
    """A session's name, for instance; what is no id of a request is replaced."""
    reply = await one(
        rig, request("POST", CHAT, ask(), "X-Session-Id: \xff\xfe", "X-Request-Id: \xe9")
    )

    assert reply.status == 200
    assert re.fullmatch(r"req-[0-9a-f]{32}", reply.headers["x-request-id"])


READ_BY_US = (
    "Authorization", "X-Api-Key", "X-Request-Id", "X-Request-Timeout", "X-Raylax-Priority",
    "X-Raylax-Resume", "X-Raylax-Explain", "X-Session-Id", "Last-Event-ID", "traceparent",
    "tracestate", "Content-Type", "Content-Encoding", "Accept-Encoding", "Origin",
    "Sec-Fetch-Site", "Access-Control-Request-Method",
)  # fmt: skip


@pytest.mark.parametrize(
    "value", ["\xe9", "Bearer \xe9", "\xb2", "9" * 5000, "chatcmpl-a:" + "9" * 5000]
)
@pytest.mark.parametrize(
    "asked", [("POST", CHAT, ask(stream=True)), ("GET", "/v1/streams/chatcmpl-a")]
)
async def test_no_header_is_an_error_of_ours(rig: Rig, asked: tuple[Any, ...], value: str) -> None:
    """Whatever a client writes there: it is refused, or not looked at."""
    method, path, *body = asked
    statuses = {
        name: (await one(rig, request(method, path, *body or [b""], f"{name}: {value}"))).status
        for name in READ_BY_US
    }

    assert {name: status for name, status in statuses.items() if status >= 500} == {}


async def test_a_length_that_could_be_read_in_two_ways_is_refused(rig: Rig) -> None:
    """Else a proxy and we could see different requests; the connection ends."""
    for second in ("Content-Length: 3", "Transfer-Encoding: chunked"):
        async with connected(rig) as connection:
            await connection.send(request("POST", CHAT, ask(), second))

            assert (await connection.reply()).status == 400
            assert await connection.ended()
