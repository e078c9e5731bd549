"""Batches as OpenAI's own client has them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from raylax.router.batches.lines import MOST_LINES
from raylax.router.config import RouterLimits
from tests.support.batch_routers import (
    CHAT,
    COMPLETIONS,
    batch_router,
    content_of,
    ended,
    jsonl,
    line,
    sent,
)
from tests.support.router_rig import Rig, openai_client_of, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEPT = "output_expires_after"
LONG = 64
"""Tokens of an answer that does not end meanwhile."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with batch_router(checkpoint, tmp_path_factory.mktemp("files")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client_of(rig) as made:
        yield made


async def test_a_batch_is_answered_as_its_lines_would_be(client: openai.AsyncOpenAI) -> None:
    """To the letter, but for names and times."""
    lines = [line(f"ask {n}", max_tokens=n + 1) for n in range(8)]
    batch = await ended(client, (await sent(client, jsonl(lines), metadata={"a": "b"})).id)
    output = await content_of(client, batch.output_file_id)
    told = {one["custom_id"]: one["response"]["body"]["choices"] for one in output}
    alone = {
        one["custom_id"]: (
            await client.chat.completions.create(model="tiny", **one["body"])
        ).model_dump(exclude_unset=True)["choices"]
        for one in lines
    }

    assert told == alone
    assert (batch.status, batch.errors, batch.error_file_id) == ("completed", None, None)
    assert batch.request_counts.model_dump() == {"total": 8, "completed": 8, "failed": 0}
    assert batch.metadata == {"a": "b"}
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert batch.expires_at - batch.created_at == 24 * 3600


@pytest.mark.parametrize(
    ("url", "body", "kind"),
    [
        (COMPLETIONS, {"prompt": "abc"}, "text_completion"),
        ("/v1/embeddings", {"input": ["a", "b"]}, "list"),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 3}, "response"),
    ],
)
async def test_each_endpoint_has_batches(
    client: openai.AsyncOpenAI, url: str, body: dict[str, Any], kind: str
) -> None:
    asked = {"custom_id": "1", "method": "POST", "url": url, "body": body}
    batch = await ended(client, (await sent(client, jsonl([asked]), endpoint=url)).id)
    (answer,) = await content_of(client, batch.output_file_id)

    assert answer["response"]["status_code"] == 200
    assert answer["response"]["body"]["object"] == kind
    assert answer["error"] is None
    assert answer["id"].startswith("batch_req_") and answer["response"]["request_id"]


async def test_a_response_in_a_batch_is_not_kept(client: openai.AsyncOpenAI) -> None:
    """And says so; nor does one go on from another one, which may be gone by then."""
    url = "/v1/responses"
    bodies = {"alone": {}, "behind": {"previous_response_id": f"resp_{'0' * 32}"}}
    asked = [
        {"custom_id": id, "method": "POST", "url": url, "body": {"input": "hi", **more}}
        for id, more in bodies.items()
    ]
    batch = await ended(client, (await sent(client, jsonl(asked), endpoint=url)).id)
    (alone,) = await content_of(client, batch.output_file_id)
    (behind,) = await content_of(client, batch.error_file_id)
    response = alone["response"]["body"]

    assert (alone["custom_id"], response["store"]) == ("alone", False)
    assert behind["response"]["body"]["error"]["param"] == "previous_response_id"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response["id"])


async def test_a_wrong_body_is_an_error_of_its_own(client: openai.AsyncOpenAI) -> None:
    """With the field and the rule, as its endpoint says it; the others are answered."""
    wrong: dict[str, dict[str, Any]] = {
        "temperature": {"temperature": 9},
        "model": {"model": "another"},
        "stream": {"stream": True},
        "debug_config": {"debug_config": {"ignore_eos": True}},
        "messages.0.content": {"messages": [{"role": "user", "content": 5}]},
    }
    lines = [line(name, **body) for name, body in wrong.items()]
    batch = await ended(client, (await sent(client, jsonl([line("right"), *lines]))).id)
    errors = await content_of(client, batch.error_file_id)
    told = {
        one["custom_id"]: (one["response"]["status_code"], one["response"]["body"]["error"])
        for one in errors
    }

    assert {name: error["param"] for name, (_, error) in told.items()} == {n: n for n in wrong}
    assert {status for name, (status, _) in told.items() if name != "model"} == {400}
    assert told["model"][0] == 404
    assert "found 9" in told["temperature"][1]["message"]
    assert batch.status == "completed"
    assert batch.request_counts.model_dump() == {"total": 6, "completed": 1, "failed": 5}
    assert len(await content_of(client, batch.output_file_id)) == 1


GOOD = json.dumps(line("a")).encode()


def changed(**fields: Any) -> bytes:
    return json.dumps({**line("a"), **fields}).encode()


@pytest.mark.parametrize(
    ("content", "code", "at", "param"),
    [
        (b"", "empty_file", None, None),
        (b"\n \n", "empty_file", None, None),
        (b"\xff\xfe\x00binary", "invalid_json_line", 1, None),
        (GOOD + b"\n\n{", "invalid_json_line", 3, None),
        (b"[1]", "invalid_json_line", 1, None),
        (b'{"custom_id": "\\ud800"}', "invalid_json_line", 1, None),
        (GOOD + b"\n" + GOOD, "duplicate_custom_id", 2, "custom_id"),
        (changed(custom_id=""), "invalid_request", 1, "custom_id"),
        (changed(custom_id="x" * 513), "invalid_request", 1, "custom_id"),
        (changed(method="GET"), "invalid_request", 1, "method"),
        (changed(body=[]), "invalid_request", 1, "body"),
        (changed(url=None), "invalid_request", 1, "url"),
        (changed(url=COMPLETIONS), "mismatched_endpoint", 1, "url"),
        (changed(url="https://example.org/v1"), "mismatched_endpoint", 1, "url"),
        (changed(body={"messages": "x" * (10 << 20)}), "line_too_long", 1, None),
        (changed(body={"messages": [0] * 300_000}), "invalid_request", 1, "body"),
    ],
    ids=lambda one: str(one)[:20] if not isinstance(one, bytes) else "",
)
async def test_what_is_no_input_fails_as_a_whole(
    client: openai.AsyncOpenAI, content: bytes, code: str, at: int | None, param: str | None
) -> None:
    """With the line and the rule; nothing of it is answered."""
    batch = await ended(client, (await sent(client, content)).id)
    (error,) = batch.errors.data

    assert batch.status == "failed" and batch.failed_at
    assert (error.code, error.line, error.param) == (code, at, param)
    assert len(error.message) < 300
    assert (batch.output_file_id, batch.error_file_id) == (None, None)


async def test_a_hundred_thousand_lines_are_too_many(client: openai.AsyncOpenAI) -> None:
    content = b"".join(changed(custom_id=str(n)) + b"\n" for n in range(100_000))
    batch = await ended(client, (await sent(client, content)).id)

    assert [one.code for one in batch.errors.data] == ["too_many_lines"]
    assert str(MOST_LINES) in batch.errors.data[0].message


async def test_of_many_mistakes_some_are_told(client: openai.AsyncOpenAI) -> None:
    batch = await ended(client, (await sent(client, b"{\n" * 1000)).id)

    assert [one.line for one in batch.errors.data] == list(range(1, 101))


async def test_a_batch_is_cancelled(rig: Rig, client: openai.AsyncOpenAI) -> None:
    """What was answered is there; what was running ends at once, and each line has its result."""
    lines = [line("short", max_tokens=1), *(line(f"{n}", max_tokens=LONG) for n in range(20))]
    rig.workers[0].hold(steps=3)
    batch = await sent(client, jsonl(lines))
    await until(lambda: rig.workers[0].running)
    cancelled = await client.batches.cancel(batch.id)
    batch = await ended(client, batch.id)
    rig.workers[0].let_go()
    results = [
        *(await content_of(client, batch.output_file_id)),
        *(await content_of(client, batch.error_file_id)),
    ]
    codes = [one["error"]["code"] for one in results if one["error"]]

    assert cancelled.status == "cancelling" and cancelled.cancelling_at
    assert batch.status == "cancelled" and batch.cancelled_at >= batch.cancelling_at
    assert sorted(one["custom_id"] for one in results) == sorted(o["custom_id"] for o in lines)
    assert codes and {*codes} == {"batch_cancelled"}
    assert not rig.service.journal
    with pytest.raises(openai.BadRequestError, match="it is cancelled"):
        await client.batches.cancel(batch.id)


async def test_its_file_may_be_deleted_while_it_runs(rig: Rig, client: openai.AsyncOpenAI) -> None:
    rig.workers[0].hold(steps=0)
    batch = await sent(client, jsonl([line("a"), line("b")]))
    await client.files.delete(batch.input_file_id)
    rig.workers[0].let_go()
    batch = await ended(client, batch.id)

    assert batch.request_counts.completed == 2
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(batch.input_file_id)


async def test_batches_are_listed_page_by_page(client: openai.AsyncOpenAI) -> None:
    """The newest first, as OpenAI's client walks through them."""
    made = [(await sent(client, jsonl([line("a")]))).id for _ in range(5)]
    page = await client.batches.list(limit=2)
    listed = [one.id async for one in await client.batches.list(limit=2)]

    assert [one.id for one in page.data] == [made[4], made[3]] and page.has_more
    assert listed[:5] == made[::-1]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/moderations"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-" + "0" * 32}, "id"),
        ({"input_file_id": "../../etc/passwd"}, "id"),
        ({"input_file_id": 5}, "input_file_id"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": 5}}, "metadata.a"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({KEPT: {"anchor": "now", "seconds": 3600}}, f"{KEPT}.anchor"),
        ({KEPT: {"anchor": "created_at", "seconds": 5}}, f"{KEPT}.seconds"),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_is_said(
    client: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    asked = {"endpoint": CHAT, "completion_window": "24h", "input_file_id": "file-1", **fields}
    with pytest.raises(openai.APIStatusError) as caught:
        await client.post("/batches", body=asked, cast_to=object)

    assert caught.value.status_code in (400, 404)
    assert caught.value.param == param


async def test_what_a_batch_has_written_is_no_input(client: openai.AsyncOpenAI) -> None:
    batch = await ended(client, (await sent(client, jsonl([line("a")]))).id)
    with pytest.raises(openai.BadRequestError, match="batch_output"):
        await client.batches.create(
            input_file_id=batch.output_file_id, endpoint=CHAT, completion_window="24h"
        )


async def test_where_files_have_no_room_an_answer_is_an_error(
    checkpoint: Path, tmp_path: Path
) -> None:
    """No line is lost, and the bound holds."""
    lines = jsonl(line(f"{n}", max_tokens=LONG) for n in range(40))
    most = 2 * len(lines)
    async with (
        batch_router(checkpoint, tmp_path, max_files_bytes=most) as rig,
        openai_client_of(rig) as client,
    ):
        batch = await ended(client, (await sent(client, lines)).id)
        errors = await content_of(client, batch.error_file_id)
        output = await content_of(client, batch.output_file_id)

    assert {one["error"]["code"] for one in errors} == {"insufficient_storage"}
    assert output and errors and len(output) + len(errors) == 40
    assert RouterLimits().max_files_bytes > most
