"""Anthropic's Messages API by Anthropic's own client: blocks, events, errors in its form."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import pytest_asyncio

from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    running_http,
    running_router,
)
from tests.support.scripted import write_scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
HI: dict[str, Any] = {"role": "user", "content": "hi"}
ASK: dict[str, Any] = {
    "model": "tiny", "messages": [HI], "max_tokens": 8, "extra_body": {"temperature": 0}
}  # fmt: skip
LOOK: dict[str, Any] = {"name": "look", "input_schema": {"type": "object"}}
TEXT_EVENTS = [
    "message_start", "ping", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with client_of(rig.url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Of a model that calls a function, whatever it is asked."""
    checkpoint = write_scripted(tmp_path_factory.mktemp("scripted"))
    async with running_router(checkpoint) as rig, client_of(rig.url) as made:
        yield made


def client_of(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0, timeout=PATIENCE_S)


async def streamed(client: anthropic.AsyncAnthropic, **ask: Any) -> list[Any]:
    """The events, each of which is what the client's own types say that it is."""
    events = [event async for event in await client.messages.create(**ask, stream=True)]
    return [type(event).model_validate(event.to_dict()) for event in events]


async def test_an_answer_cut_by_its_limit(rig: Rig, client: anthropic.AsyncAnthropic) -> None:
    """The text is that of the chat API for the same request; cached tokens count apart."""
    answer = await client.messages.create(**ASK)
    async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key="none") as other:
        chat = await other.chat.completions.create(**ASK)
    usage = answer.usage

    assert [block.text for block in answer.content] == [chat.choices[0].message.content]
    assert (answer.stop_reason, answer.stop_sequence) == ("max_tokens", None)
    assert usage.input_tokens + usage.cache_read_input_tokens == chat.usage.prompt_tokens
    assert (usage.output_tokens, answer.model, answer.role) == (8, "tiny", "assistant")


async def test_a_stream_tells_the_same_message(client: anthropic.AsyncAnthropic) -> None:
    """In Anthropic's order; its client puts it together to the whole answer."""
    whole = await client.messages.create(**ASK)
    async with client.messages.stream(**ASK) as stream:
        texts = [text async for text in stream.text_stream]
        put_together = await stream.get_final_message()
    events = await streamed(client, **ASK)
    kinds = [event.type for event in events if event.type != "content_block_delta"]

    assert len(texts) > 1 and "".join(texts) == whole.content[0].text
    assert put_together.content[0].text == whole.content[0].text
    assert (put_together.stop_reason, put_together.usage.output_tokens) == ("max_tokens", 8)
    assert kinds == [kind for kind in TEXT_EVENTS if kind not in ("ping", "content_block_delta")]
    assert events[0].message.usage.input_tokens > 0


async def test_the_stop_sequence_is_named(client: anthropic.AsyncAnthropic) -> None:
    """The one that was met, whole and streamed; it is no part of the text."""
    text = (await client.messages.create(**ASK)).content[0].text
    ask = {**ASK, "stop_sequences": ["never said", text[3:5]]}
    whole = await client.messages.create(**ask)
    last = [event for event in await streamed(client, **ask) if event.type == "message_delta"][-1]

    assert whole.content[0].text == text[: text.index(text[3:5])]
    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", text[3:5])
    assert (last.delta.stop_reason, last.delta.stop_sequence) == ("stop_sequence", text[3:5])


async def test_a_tool_use(caller: anthropic.AsyncAnthropic) -> None:
    """A block of its own after what was said before it; streamed, the same two blocks."""
    ask = {**ASK, "max_tokens": 50, "tools": [LOOK]}
    whole = await caller.messages.create(**ask)
    async with caller.messages.stream(**ask) as stream:
        put_together = await stream.get_final_message()
    text, use = whole.content

    assert (whole.stop_reason, text.text) == ("tool_use", "I look. ")
    assert (use.type, use.name, use.input) == ("tool_use", "look", {"city": "Rome"})
    assert put_together.stop_reason == "tool_use"
    assert put_together.content[0].text == text.text
    assert (put_together.content[1].name, put_together.content[1].input) == (use.name, use.input)


async def test_without_leave_no_tool_is_used(caller: anthropic.AsyncAnthropic) -> None:
    """With tool_choice none the same tokens are text, and the turn ends."""
    choice: Any = {"type": "none"}
    ask = {**ASK, "max_tokens": 50, "tools": [LOOK], "tool_choice": choice}
    answer = await caller.messages.create(**ask)

    assert [block.type for block in answer.content] == ["text"]
    assert answer.stop_reason == "end_turn"


async def test_a_conversation_of_blocks_is_that_of_messages(
    rig: Rig, client: anthropic.AsyncAnthropic
) -> None:
    """System blocks, uses and results of tools reach the model as chat messages do."""
    blocks: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "c", "name": "look", "input": {"x": 1}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c",
             "content": [{"type": "text", "text": "sunny"}]},
            {"type": "text", "text": "thanks"},
        ]},
    ]  # fmt: skip
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    messages: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        {"role": "user", "content": "thanks"},
    ]
    system: list[Any] = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    answer = await client.messages.create(**{**ASK, "messages": blocks}, system=system)
    count = await client.messages.count_tokens(model="tiny", messages=blocks, system=system)
    async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key="none") as other:
        chat = await other.chat.completions.create(**{**ASK, "messages": messages})

    assert answer.content[0].text == chat.choices[0].message.content
    assert count.input_tokens == chat.usage.prompt_tokens


async def test_more_tokens_than_fit_are_counted(client: anthropic.AsyncAnthropic) -> None:
    """To know that they do not fit is what counting is for."""
    long: Any = [{"role": "user", "content": "x" * 3000}]

    assert (await client.messages.count_tokens(model="tiny", messages=long)).input_tokens > 3000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1, found 0"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [HI, {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}]}]},
         "messages: the last one must be the user's, or a text of the assistant's"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
         "messages.0.content.0: only blocks of type text, thinking, tool_use and tool_result"),
        ({"messages": [{"role": "user", "content": [
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}]}]},
         "messages.0: content: tool_use is not for the role user"),
        ({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c"}] * 2000}] * 2}, "may be 2048"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: a call needs tools, and there are none"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice: name: must be there for type tool"),
        ({"messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}]}]},
         "content.0.type: must be text: the models here read text alone"),
        ({"messages": [HI, {"role": "system", "content": [
            {"type": "tool_result", "tool_use_id": "t"}]}]},
         "tool_result is not for the role system"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: Field required"),
        ({"thinking": {"type": "always"}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "x"}}}},
         "output_config.format.schema: Invalid type: x"),
        ({"extra_body": {"mcp_servers": [{"type": "url"}]}}, "mcp_servers: raylax calls no"),
        ({"messages": [{"role": "user", "content": "x" * 300}]}, "the limit is 255"),
    ],
)  # fmt: skip
async def test_what_is_lacking_is_refused_by_name(
    client: anthropic.AsyncAnthropic, fields: dict[str, Any], said: str
) -> None:
    """In Anthropic's form."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        await client.messages.create(**{**ASK, **fields})
    body: Any = caught.value.body

    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert said in body["error"]["message"]


async def test_every_error_has_its_form(rig: Rig, client: anthropic.AsyncAnthropic) -> None:
    """An unknown model, told with those that there are; a path and a method that do not exist."""
    with pytest.raises(anthropic.NotFoundError) as caught:
        await client.messages.create(**{**ASK, "model": "claude-9"})
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as plain:
        nowhere = await plain.post("/v1/messages/batches", json={})
        method = await plain.get("/v1/messages")

    assert caught.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "no model named 'claude-9'; there is tiny"},
    }
    assert [r.status_code for r in (nowhere, method)] == [404, 405]
    assert [r.json()["type"] for r in (nowhere, method)] == ["error", "error"]
    assert nowhere.json()["error"]["type"] == "not_found_error"


async def test_before_the_first_worker(checkpoint: Path) -> None:
    """It is an error that clients try again after."""
    settings = RouterConfig("tiny", str(checkpoint), "")
    async with running_http(Models([settings])) as url, client_of(url) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(**ASK)
    body: Any = caught.value.body

    assert (caught.value.status_code, body["error"]["type"]) == (503, "overloaded_error")


async def test_an_error_in_a_stream_is_an_event(rig: Rig, client: anthropic.AsyncAnthropic) -> None:
    """The client raises it, after what had been said."""
    ask = {**ASK, "max_tokens": 200, "extra_body": {"timeout": 1}}
    kinds = []
    rig.workers[0].hold(steps=3)
    try:
        with pytest.raises(anthropic.APIStatusError) as caught:
            async for event in await client.messages.create(**ask, stream=True):
                kinds.append(event.type)
    finally:
        rig.workers[0].let_go()
    body: Any = caught.value.body

    assert kinds[0] == "message_start" and kinds[-1] == "content_block_delta"
    assert body["error"]["type"] == "timeout_error"


async def test_the_stream_as_it_is_on_the_wire(rig: Rig) -> None:
    """Each event is named and has one line of data, of the same type."""
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client:
        body = {"messages": [HI], "max_tokens": 8, "stream": True}
        reply = await client.post("/v1/messages", json=body)
    *events, rest = reply.text.split("\n\n")
    names = [event.split("\n")[0].removeprefix("event: ") for event in events]

    assert rest == ""
    assert list(dict.fromkeys(names)) == TEXT_EVENTS
    for name, event in zip(names, events, strict=True):
        assert event.split("\n")[1:] == [event.split("\n")[1]]
        assert event.split("\n")[1].startswith(f'data: {{"type":"{name}"')


async def test_what_claude_code_sends_beside(rig: Rig) -> None:
    """A system message within the conversation is one to the model, too; of a search that nobody
    runs here the model is not told."""
    ask: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "messages": [HI]}
    more = [HI, {"role": "system", "content": "be brief"}]
    search = {"type": "web_search_20250305", "name": "web_search"}
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as http:
        alone = await http.post("/v1/messages", json=ask)
        longer = await http.post("/v1/messages", json={**ask, "messages": more})
        offered = await http.post("/v1/messages", json={**ask, "tools": [search]})
    counts = [one.json()["usage"] for one in (alone, longer, offered)]
    prompts = [one["input_tokens"] + one["cache_read_input_tokens"] for one in counts]

    assert offered.headers["warnings"].startswith("tools: web_search_20250305 cannot be run here")
    assert prompts[0] == prompts[2] < prompts[1]
