"""Responses that are kept, by OpenAI's own client: others go on from them, and refer to them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from pydantic_core import to_json

from raylax.proto.openai.body import MOST_VALUES
from tests.support.router_rig import PATIENCE_S, Rig, openai_client_of, running_router, until
from tests.support.scripted import write_scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASK: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_output_tokens": 8}
LOOK: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object"}}
UNKNOWN = "resp_" + "0" * 32


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.fixture(scope="module")
def responses(openai_client: openai.AsyncOpenAI) -> Any:
    return openai_client.responses


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """Of a model that calls a function, whatever it is asked."""
    checkpoint = write_scripted(tmp_path_factory.mktemp("scripted"))
    async with running_router(checkpoint) as rig, openai_client_of(rig) as made:
        yield made


async def test_a_response_goes_on_from_another(responses: Any) -> None:
    """As if its client had sent all that was said before; the instructions were for the earlier
    ones alone."""
    first = await responses.create(**ASK, input="hi", instructions="be brief")
    second = await responses.create(**ASK, input=[user("and?")], previous_response_id=first.id)
    third = await responses.create(
        **ASK, input="so?", previous_response_id=second.id, instructions="go"
    )
    said = [user("hi"), *first.output, user("and?")]
    alone = [
        await responses.create(**ASK, input=said, store=False),
        await responses.create(
            **ASK, input=[*said, *second.output, user("so?")], instructions="go", store=False
        ),
    ]

    assert [one.usage.input_tokens for one in (second, third)] == [
        one.usage.input_tokens for one in alone
    ]
    assert [one.output_text for one in (second, third)] == [one.output_text for one in alone]
    assert second.previous_response_id == first.id and second.instructions is None
    assert second.usage.input_tokens > first.usage.input_tokens


async def test_what_was_called_is_gone_on_from(caller: openai.AsyncOpenAI) -> None:
    """Calls are items as messages are: only the tool's output has to be sent."""
    ask: dict[str, Any] = {**ASK, "max_output_tokens": 50, "tools": [LOOK]}
    first = await caller.responses.create(**ask, input="hi")
    output: Any = {
        "type": "function_call_output", "call_id": first.output[1].call_id, "output": "sunny",
    }  # fmt: skip
    second = await caller.responses.create(**ask, input=[output], previous_response_id=first.id)
    all_of_it: Any = [user("hi"), *first.output, output]
    alone = await caller.responses.create(**ask, input=all_of_it)
    items = [one async for one in caller.responses.input_items.list(second.id, order="asc")]

    assert [item.type for item in first.output] == ["message", "function_call"]
    assert second.usage.input_tokens == alone.usage.input_tokens
    assert [one.type for one in items] == [
        "message", "message", "function_call", "function_call_output",
    ]  # fmt: skip
    assert [one.id for one in items[1:3]] == [one.id for one in first.output]


async def test_what_was_streamed_is_kept_as_it_ended(responses: Any) -> None:
    """Before the client hears of the end."""
    async for event in await responses.create(**ASK, input="hi", stream=True):
        if event.type == "response.incomplete":
            assert await responses.retrieve(event.response.id) == event.response

    assert event.type == "response.incomplete"


async def test_a_response_can_be_read_and_deleted(responses: Any) -> None:
    """It is the one that was answered, until it is deleted; what goes on from it has its own copy
    of the conversation."""
    first = await responses.create(**ASK, input="hi")
    read = await responses.retrieve(first.id)
    second = await responses.create(**ASK, input="more", previous_response_id=first.id)
    await responses.delete(first.id)
    for missing in (responses.retrieve, responses.delete, responses.cancel):
        with pytest.raises(openai.NotFoundError, match=f"{first.id}.*3600 s after it was"):
            await missing(first.id)
    with pytest.raises(openai.BadRequestError, match=f"{first.id}.*3600 s after") as caught:
        await responses.create(**ASK, input="more", previous_response_id=first.id)
    third = await responses.create(**ASK, input="more", previous_response_id=second.id)

    assert read == first and first.store
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"
    assert third.usage.input_tokens > second.usage.input_tokens


async def test_what_deleting_answers(client: httpx.AsyncClient) -> None:
    """And that it can be asked for."""
    first = (await client.post("/v1/responses", json={"input": "hi"})).json()["id"]
    path = f"/v1/responses/{first}"
    allowed = (await client.options(path)).headers["allow"]
    reply = await client.delete(path)

    assert reply.json() == {"id": first, "object": "response", "deleted": True}
    assert allowed == "DELETE, GET, HEAD, OPTIONS"


async def test_what_is_not_to_be_stored_is_not(rig: Rig, responses: Any) -> None:
    kept = len(rig.models.state.kept_responses)
    answer = await responses.create(**ASK, input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await responses.retrieve(answer.id)

    assert answer.store is False
    assert len(rig.models.state.kept_responses) == kept


async def test_input_items_come_page_by_page(responses: Any) -> None:
    """The latest first, unless another order is asked for; of all turns, with parts and ids."""
    first = await responses.create(**ASK, input=[user("a"), user("b")])
    second = await responses.create(**ASK, input="c", previous_response_id=first.id)
    page = await responses.input_items.list(second.id, limit=3)
    rest = await page.get_next_page()
    ascending = [one async for one in responses.input_items.list(second.id, limit=1, order="asc")]
    behind = await responses.input_items.list(second.id, after=ascending[1].id, order="asc")

    assert [one.content[0].text for one in ascending] == ["a", "b", first.output_text, "c"]
    assert [one.content[0].type for one in ascending[1:3]] == ["input_text", "output_text"]
    assert [*page.data, *rest.data] == ascending[::-1]
    assert (page.has_more, page.first_id, page.last_id) == (True, ascending[3].id, ascending[1].id)
    assert behind.data == ascending[2:] and not behind.has_more
    assert len({one.id for one in ascending}) == 4
    assert ascending[2].id == first.output[0].id


async def test_an_item_stands_for_what_was_said(responses: Any) -> None:
    """By its id, be it an answer's or a client's; without a type, too."""
    first = await responses.create(**ASK, input="hi")
    asked = [one async for one in responses.input_items.list(first.id)]
    references = [{"type": "item_reference", "id": asked[0].id}, {"id": first.output[0].id}]
    second = await responses.create(**ASK, input=[*references, user("more")])
    again = await responses.create(**ASK, input="more", previous_response_id=first.id)
    items = [one async for one in responses.input_items.list(second.id, order="asc")]

    assert second.usage.input_tokens == again.usage.input_tokens
    assert [one.id for one in items[:2]] == [asked[0].id, first.output[0].id]


@pytest.mark.parametrize(
    ("path", "param", "said"),
    [
        ("?stream=true", "stream", "come back by GET /v1/streams/ID"),
        ("?starting_after=4", "starting_after", "come back by GET /v1/streams/ID"),
        ("/input_items?limit=0", "limit", "must be 1 to 100, found '0'"),
        ("/input_items?limit=101", "limit", "must be 1 to 100, found '101'"),
        ("/input_items?limit=x", "limit", "must be 1 to 100, found 'x'"),
        ("/input_items?order=up", "order", "must be asc or desc, found 'up'"),
        ("/input_items?after=x", "after", "no item 'x' is in this list"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(
    client: httpx.AsyncClient, path: str, param: str, said: str
) -> None:
    id = (await client.post("/v1/responses", json={"input": "hi"})).json()["id"]
    reply = await client.get(f"/v1/responses/{id}{path}")
    error = reply.json()["error"]

    assert (reply.status_code, error["param"]) == (400, param)
    assert said in error["message"]


async def test_a_response_that_was_waited_for_is_not_cancelled(responses: Any) -> None:
    """As OpenAI has it; and there is nothing to cancel of one that nobody knows."""
    answer = await responses.create(**ASK, input="hi")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        await responses.cancel(answer.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        await responses.cancel(UNKNOWN)


@pytest.mark.parametrize("id", [UNKNOWN, "resp_1", "../x", "x" * 5000])
async def test_an_id_that_nobody_knows(responses: Any, id: str) -> None:
    with pytest.raises(openai.BadRequestError, match="not found") as caught:
        await responses.create(**ASK, input="hi", previous_response_id=id)

    assert len(caught.value.message) < 500


async def test_items_that_are_not_there_or_there_twice(responses: Any) -> None:
    first = await responses.create(**ASK, input="hi")
    reference = {"type": "item_reference", "id": first.output[0].id}
    for items, previous in (([reference, reference], None), ([reference], first.id)):
        with pytest.raises(openai.BadRequestError, match="is there already"):
            await responses.create(**ASK, input=items, previous_response_id=previous)
    for id in ("msg_1", f"msg_{'0' * 32}_0", f"{first.output[0].id}1"):
        with pytest.raises(openai.NotFoundError, match=r"input\.0: Item with id") as caught:
            await responses.create(**ASK, input=[{"type": "item_reference", "id": id}])
        assert caught.value.param == "input.0"


async def test_a_conversation_is_bounded_as_a_body_is(checkpoint: Path) -> None:
    async with (
        running_router(checkpoint, max_body_bytes=1024) as rig,
        openai_client_of(rig) as client,
    ):
        first = await client.responses.create(**ASK, input="a" * 150)
        with pytest.raises(openai.APIStatusError, match="may have 1024 bytes") as caught:
            await client.responses.create(**ASK, input="a" * 600, previous_response_id=first.id)

    assert caught.value.status_code == 413


async def test_a_conversation_has_no_more_values_than_a_body(rig: Rig, responses: Any) -> None:
    """However many turns they came in."""
    kept = rig.models.state.kept_responses
    said = {"id": "x", "type": "message", "role": "user", "content": "," * MOST_VALUES}
    kept.begin(UNKNOWN, "", to_json([said]), lambda: b'{"output":[]}')
    kept.end(UNKNOWN)
    with pytest.raises(openai.BadRequestError, match=f"may have {MOST_VALUES} values"):
        await responses.create(**ASK, input="a", previous_response_id=UNKNOWN)
    kept.forget(UNKNOWN, "")


async def test_a_response_is_kept_for_its_time(checkpoint: Path) -> None:
    """Then its memory is free, and clients are told how long that is."""
    async with (
        running_router(checkpoint, responses_ttl_s=0.2) as rig,
        openai_client_of(rig) as client,
    ):
        first = await client.responses.create(**ASK, input="hi")
        await until(lambda: not rig.models.state.kept_responses)
        with pytest.raises(openai.BadRequestError, match=r"0\.2 s after it was last used"):
            await client.responses.create(**ASK, input="a", previous_response_id=first.id)

        assert rig.models.state.kept_responses.size == 0


async def test_responses_make_room_for_later_ones(checkpoint: Path) -> None:
    """Those that were not used for the longest time go; what is told of a response is so."""
    async with running_router(checkpoint, max_responses=2) as rig, openai_client_of(rig) as client:
        first, second = [await client.responses.create(**ASK, input="hi") for _ in range(2)]
        await client.responses.retrieve(first.id)
        third = await client.responses.create(**ASK, input="hi")
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(second.id)
        for one in (first, third):
            assert await client.responses.retrieve(one.id) == one


async def test_a_router_may_keep_none(checkpoint: Path) -> None:
    async with running_router(checkpoint, max_responses=0) as rig, openai_client_of(rig) as client:
        answer = await client.responses.create(**ASK, input="hi")

        assert answer.store is False
        assert len(rig.models.state.kept_responses) == 0


async def test_what_did_not_end_is_not_kept(checkpoint: Path) -> None:
    """Its client left, or it was refused; while it runs it has its place, and nobody finds it."""
    async with running_router(checkpoint) as rig, openai_client_of(rig) as client:
        kept = rig.models.state.kept_responses
        rig.workers[0].hold(steps=3)
        ask = {**ASK, "max_output_tokens": 100}
        stream = await client.responses.create(**ask, input="hi", stream=True)
        event = await anext(aiter(stream))
        with pytest.raises(openai.NotFoundError, match="has not ended"):
            await client.responses.retrieve(event.response.id)
        assert len(kept) == 1
        await stream.close()
        rig.workers[0].let_go()
        await until(lambda: not kept)
        with pytest.raises(openai.APITimeoutError):
            rig.workers[0].hold(steps=1)
            await client.responses.create(**ask, input="hi", timeout=0.5)
        rig.workers[0].let_go()
        await until(lambda: not kept)
        with pytest.raises(openai.BadRequestError, match="the limit is 255"):
            await client.responses.create(**ask, input="a" * 300)
        wrong = {"X-Raylax-Resume": "x"}
        with pytest.raises(openai.BadRequestError, match="X-Raylax-Resume"):
            await client.responses.create(**ask, input="hi", stream=True, extra_headers=wrong)

        assert (len(kept), kept.size) == (0, 0)


async def test_what_failed_behind_its_beginning_is_kept_as_that(checkpoint: Path) -> None:
    async with (
        running_router(checkpoint, worker_patience_s=0.1) as rig,
        openai_client_of(rig) as client,
    ):
        rig.workers[0].hold(steps=3)
        ask = {**ASK, "max_output_tokens": 100}
        events = aiter(await client.responses.create(**ask, input="hi", stream=True))
        await anext(events)
        await rig.workers[0].die()
        *_, last = [event async for event in events]
        read = await client.responses.retrieve(last.response.id)
        rig.workers[0].let_go()

    assert read == last.response
    assert read.status == "failed" and read.error.code == "service_unavailable"


async def test_one_that_nobody_reads_to_its_end_may_end_all_the_same(checkpoint: Path) -> None:
    """A stream that outlives its client is kept as a response, too."""
    async with running_router(checkpoint) as rig:
        rig.workers[0].hold(steps=3)
        async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
            ask, headers = {**ASK, "input": "hi", "stream": True}, {"X-Raylax-Resume": "30"}
            async with client.stream("POST", "/v1/responses", json=ask, headers=headers) as reply:
                id = reply.headers["X-Raylax-Call-Id"]
            rig.workers[0].let_go()
            path = f"/v1/responses/{id}"
            await until(lambda: rig.models.state.kept_responses.find(id, "") is not None)
            read = (await client.get(path)).json()
            events = (await client.get(f"/v1/streams/{id}")).text
    last = json.loads(events.rsplit("data: ", 1)[1])

    assert read == last["response"]
    assert read["status"] == "incomplete"
