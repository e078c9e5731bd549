"""Files as OpenAI's own client has them, and as nobody's client should send them."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig, RouterLimits
from raylax.router.files.storage import Storage
from tests.support.router_rig import PATIENCE_S, running_http, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = RouterLimits(max_file_bytes=4 << 20, max_files_bytes=6 << 20, max_files=20)
SECRETS = {"alice": "alice's secret", "bob": "bob's secret"}
KEYS = tuple(Key(name, hash_of(secret)) for name, secret in SECRETS.items())
B = "xyz"
FORM = {"Content-Type": f"multipart/form-data; boundary={B}"}


@pytest_asyncio.fixture(loop_scope="module")
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """Of a router without workers: files need none."""
    config = RouterConfig("tiny", "", "", limits=LIMITS, files=str(tmp_path), keys=KEYS)
    async with running_http(Models([config])) as made:
        yield made


def client_of(url: str, name: str = "alice") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=SECRETS[name], max_retries=0, timeout=PATIENCE_S
    )


@pytest_asyncio.fixture(loop_scope="module")
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(url) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {SECRETS['alice']}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S) as made:
        yield made


def left_in(directory: Path) -> list[str]:
    """The files that lie there."""
    return [name for _, _, names in os.walk(directory) for name in names if name != "lock"]


def part(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--{B}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


PURPOSE, FILE = part("purpose", b"batch"), part("file", b"abc", '; filename="a"')
END = f"--{B}--\r\n".encode()


async def test_a_file_comes_back_as_it_was(client: openai.AsyncOpenAI) -> None:
    """Whatever it holds: what separates the parts of a form is no exception."""
    content = bytes(range(256)) * 4096 + b"\r\n--xyz--\r\n" + os.urandom(1000)
    made = await client.files.create(file=("été.jsonl", content), purpose="batch")
    found = await client.files.retrieve(made.id)

    assert (await client.files.content(made.id)).content == content
    assert found == made
    assert (made.bytes, made.filename, made.purpose) == (len(content), "été.jsonl", "batch")
    assert made.expires_at == made.created_at + LIMITS.files_ttl_s


async def test_files_are_listed_and_deleted(client: openai.AsyncOpenAI) -> None:
    """In the order in which they came, or the other way round."""
    made = [(await client.files.create(file=(f"{n}", b"x"), purpose="batch")).id for n in range(5)]
    newest = [one.id async for one in await client.files.list(limit=2)]
    oldest = [one.id async for one in await client.files.list(limit=2, order="asc")]
    others = [one async for one in await client.files.list(purpose="batch_output")]
    gone = await client.files.delete(made[2])

    assert (newest, oldest, others) == (made[::-1], made, [])
    assert gone.deleted and gone.id == made[2]
    assert made[2] not in [one.id async for one in await client.files.list()]
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            await ask(made[2])


async def test_nobody_sees_anothers(url: str, client: openai.AsyncOpenAI) -> None:
    """It is as if it were not there; and so it is with batches."""
    made = await client.files.create(file=("a", b"{}"), purpose="batch")
    batch = await client.batches.create(
        input_file_id=made.id, endpoint="/v1/completions", completion_window="24h"
    )
    async with client_of(url, "bob") as bob:
        asks = [
            bob.files.retrieve(made.id),
            bob.files.content(made.id),
            bob.files.delete(made.id),
            bob.batches.retrieve(batch.id),
            bob.batches.cancel(batch.id),
            bob.batches.create(
                input_file_id=made.id, endpoint="/v1/completions", completion_window="24h"
            ),
        ]
        for ask in asks:
            with pytest.raises(openai.NotFoundError):
                await ask

        assert [one async for one in await bob.files.list()] == []
        assert [one async for one in await bob.batches.list()] == []
    assert (await client.files.content(made.id)).content == b"{}"
    assert (await client.batches.retrieve(batch.id)).status == "validating"


@pytest.mark.parametrize(
    "filename", ["../../../etc/passwd", "/etc/passwd", "..", "a\\b", "nul\0", "x" * 255, "", "\n"]
)
async def test_a_filename_is_no_path(
    http: httpx.AsyncClient, tmp_path: Path, filename: str
) -> None:
    """It is shown, and nothing else."""
    reply = await http.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": (filename, b"abc")}
    )
    assert reply.status_code in (200, 400)
    if reply.status_code == 200:
        id = reply.json()["id"]

        assert (await http.get(f"/v1/files/{id}/content")).content == b"abc"
        assert sorted(left_in(tmp_path)) == ["data", "record"]


@pytest.mark.parametrize(
    "id", ["..", "../../x", "%2e%2e", "%2e%2e%2f%2e%2e%2fopen", "file-", f"file-{'A' * 32}", "a%00"]
)
async def test_an_id_is_no_path(http: httpx.AsyncClient, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        reply = await http.request(method, f"/v1/files/{id}{path}")

        assert reply.status_code in (404, 405)
        assert reply.json()["error"]["message"]


@pytest.mark.parametrize("purpose", ["fine-tune", "assistants", "batch_output", ""])
async def test_another_purpose_is_refused_by_name(
    http: httpx.AsyncClient, tmp_path: Path, purpose: str
) -> None:
    reply = await http.post("/v1/files", data={"purpose": purpose}, files={"file": ("a", b"x")})

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "purpose")
    assert f"'{purpose}'" in reply.json()["error"]["message"]
    assert left_in(tmp_path) == []


BAD_FORMS: dict[str, tuple[bytes, str | None]] = {
    "nothing": (b"", None),
    "no form": (b"hello", None),
    "no end": (PURPOSE + FILE, None),
    "cut in the file": (PURPOSE + FILE[:-3], None),
    "no file": (PURPOSE + END, "file"),
    "no purpose": (FILE + END, "purpose"),
    "two files": (PURPOSE + FILE + FILE + END, "file"),
    "a long purpose": (part("purpose", b"x" * 10_000) + FILE + END, "purpose"),
    "another field": (part("nothing", b"") + PURPOSE + FILE + END, "nothing"),
    "many parts": (PURPOSE * 17 + FILE + END, None),
    "no name": (b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, None),
    "no head": (b"--xyz\r\n\r\nx\r\n" + END, None),
    "a long head": (b"--xyz\r\n" + b"x" * 100_000, None),
    "a long name": (PURPOSE + part("file", b"", f'; filename="{"x" * 256}"') + END, "file"),
    "soon gone": (
        PURPOSE + part("expires_after[anchor]", b"created_at")
        + part("expires_after[seconds]", b"5") + FILE + END,
        "expires_after.seconds",
    ),
    "no seconds": (
        PURPOSE + part("expires_after[anchor]", b"created_at")
        + part("expires_after[seconds]", b"soon") + FILE + END,
        "expires_after.seconds",
    ),
    "no anchor": (
        PURPOSE + part("expires_after[seconds]", b"3600") + FILE + END, "expires_after.anchor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FORMS)
async def test_what_is_no_form_is_said(http: httpx.AsyncClient, tmp_path: Path, what: str) -> None:
    """And nothing of it stays."""
    content, param = BAD_FORMS[what]
    reply = await http.post("/v1/files", content=content, headers=FORM)

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert len(reply.json()["error"]["message"]) < 300
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({}, "Content-Type"),
        ({"Content-Type": "application/json"}, "Content-Type"),
        ({"Content-Type": "multipart/form-data"}, "Content-Type"),
        ({**FORM, "Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
    ids=str,
)
async def test_other_kinds_of_bodies_are_refused(
    http: httpx.AsyncClient, headers: dict[str, str], param: str
) -> None:
    reply = await http.post("/v1/files", content=PURPOSE + FILE + END, headers=headers)

    assert (reply.status_code, reply.json()["error"]["param"]) == (415, param)


async def test_seconds_of_their_own(client: openai.AsyncOpenAI) -> None:
    made = await client.files.create(
        file=("a", b"x"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )

    assert made.expires_at == made.created_at + 7200


@pytest.mark.parametrize("says", [True, False])
async def test_a_file_may_have_so_many_bytes(
    http: httpx.AsyncClient, tmp_path: Path, says: bool
) -> None:
    """Whether its client says so before, or keeps on sending."""
    whole = PURPOSE + part("file", b"x" * (LIMITS.max_file_bytes + 1)) + END

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(whole), 65_536):
            yield whole[at : at + 65_536]

    content: Any = whole if says else pieces()
    reply = await http.post("/v1/files", content=content, headers=FORM)

    assert (reply.status_code, reply.json()["error"]["param"]) == (413, "file")
    assert left_in(tmp_path) == []


async def test_all_files_may_have_so_many_bytes(
    url: str, client: openai.AsyncOpenAI, tmp_path: Path
) -> None:
    """Of a tenant; another one has as many. Who deletes some has room again."""
    content = b"x" * (3 << 20)
    made = await client.files.create(file=("a", content), purpose="batch")
    with pytest.raises(openai.BadRequestError, match=str(LIMITS.max_files_bytes)):
        await client.files.create(file=("b", content), purpose="batch")
    async with client_of(url, "bob") as bob:
        await bob.files.create(file=("b", content), purpose="batch")
    await client.files.delete(made.id)
    await client.files.create(file=("b", content), purpose="batch")

    assert len(left_in(tmp_path)) == 4


async def test_there_may_be_so_many(client: openai.AsyncOpenAI) -> None:
    """Files, and as many batches."""
    made = await client.files.create(file=("a", b"{}"), purpose="batch")
    for _ in range(LIMITS.max_files - 1):
        await client.files.create(file=("a", b""), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="20 files"):
        await client.files.create(file=("a", b""), purpose="batch")
    asked: dict[str, Any] = {"endpoint": "/v1/completions", "completion_window": "24h"}
    for _ in range(LIMITS.max_files):
        await client.batches.create(input_file_id=made.id, **asked)
    with pytest.raises(openai.BadRequestError, match="20 batches"):
        await client.batches.create(input_file_id=made.id, **asked)


async def test_who_leaves_leaves_nothing(url: str, tmp_path: Path) -> None:
    """The room is taken while it comes, and given back."""
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3000000\r\n"
        f"Authorization: Bearer {SECRETS['alice']}\r\nContent-Type: {FORM['Content-Type']}\r\n\r\n"
    )
    writer.write(head.encode() + PURPOSE + FILE[:-5])
    storage = Storage(tmp_path, LIMITS).of("alice")
    await until(lambda: left_in(tmp_path))
    taken = storage.bytes
    writer.close()
    await until(lambda: not left_in(tmp_path))

    assert (taken, storage.bytes) == (3_000_000, 0)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=10001", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"),
        ("limit=999999999999", "limit"), ("order=up", "order"), ("after=../x", "after"),
    ],
)  # fmt: skip
async def test_a_page_is_asked_for_by_rules(
    http: httpx.AsyncClient, query: str, param: str
) -> None:
    reply = await http.get(f"/v1/files?{query}")

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


async def test_where_there_is_no_directory_that_is_said() -> None:
    async with (
        running_http(Models([RouterConfig("tiny", "", "")])) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        for path in ("/v1/files", "/v1/batches", "/v1/files/x", "/v1/batches/x"):
            reply = await client.get(path)

            assert reply.status_code == 400 and "--files-directory" in reply.text
