"""The form of an answer, as clients of each API ask for it: what comes is never malformed. The
model has random weights."""

import json
import re
from typing import Any, Literal

import httpx
import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["ok", "n"],
    "additionalProperties": False,
}
HI: list[Any] = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": "tiny", "messages": HI, "temperature": 1.0, "max_tokens": 60}


class Verdict(BaseModel):
    ok: bool
    marks: list[Literal[1, 2, 3]] = Field(max_length=2)


def check(text: str) -> None:
    jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize("seed", range(4))
async def test_openais_parse(openai_client: openai.AsyncOpenAI, seed: int) -> None:
    """Its strict schemas, into a pydantic model."""
    answer = await openai_client.chat.completions.parse(
        **{**CHAT, "max_tokens": 120, "seed": seed}, response_format=Verdict
    )
    choice = answer.choices[0]

    assert choice.finish_reason == "stop"
    assert isinstance(choice.message.parsed, Verdict)


async def test_streamed_pieces_make_the_same_text(openai_client: openai.AsyncOpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    asked = {**CHAT, "seed": 3, "response_format": form}
    whole = await openai_client.chat.completions.create(**asked)
    stream = await openai_client.chat.completions.create(**asked, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    said = whole.choices[0].message.content

    assert "".join(pieces) == said
    check(said)


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object", "schema": json.dumps(SCHEMA)}},
        {"guided_json": SCHEMA},
        {"json_schema": json.dumps(SCHEMA)},
        {"structured_outputs": {"json": SCHEMA}},
        {"guided_json": SCHEMA, "guided_whitespace_pattern": " ?"},
    ],
    ids=lambda fields: next(iter(fields)),
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_schema_by_any_name(
    client: httpx.AsyncClient, path: str, fields: dict[str, Any]
) -> None:
    asked = {**CHAT, "prompt": "hi", "seed": 5, "n": 2, **fields}
    del asked["messages" if path == "/v1/completions" else "prompt"]
    answer = (await client.post(path, json=asked)).json()
    choices = answer["choices"]

    assert [one["finish_reason"] for one in choices] == ["stop", "stop"]
    for one in choices:
        check(one["text"] if "text" in one else one["message"]["content"])


@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"guided_choice": ["red", "blue"]}, "red|blue"),
        ({"guided_regex": "[ab]{3}-[0-9]"}, "[ab]{3}-[0-9]"),
        ({"regex": "x?y"}, "x?y"),
        ({"ebnf": 'root ::= "a" | "b" "c"'}, "a|bc"),
        ({"grammar": 'start: "l" /[0-9]{2}/'}, "l[0-9]{2}"),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, "yes|no"),
        ({"guided_json_object": True, "max_tokens": 2}, r"\{."),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
async def test_other_forms(client: httpx.AsyncClient, fields: dict[str, Any], pattern: str) -> None:
    asked = {**CHAT, "seed": 1, "ignore_eos": True, **fields}
    answer = (await client.post("/v1/chat/completions", json=asked)).json()

    assert re.fullmatch(pattern, answer["choices"][0]["message"]["content"])


async def test_responses_and_messages(
    openai_client: openai.AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    form: Any = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}
    response = await openai_client.responses.create(
        model="tiny", input="hi", max_output_tokens=60, text={"format": form}
    )
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    asked = {"model": "tiny", "max_tokens": 60, "messages": HI, "output_config": config}
    message = (await client.post("/v1/messages", json=asked)).json()

    check(response.output_text)
    assert response.text is not None and response.text.format is not None
    assert response.text.format.type == "json_schema"
    check("".join(block["text"] for block in message["content"]))


async def test_what_is_said_of_a_token_is_the_models_view(
    openai_client: openai.AsyncOpenAI,
) -> None:
    """Log-probabilities are those of all tokens, whatever may be said."""
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    answer = await openai_client.chat.completions.create(
        **{**CHAT, "response_format": form, "seed": 2}, logprobs=True, top_logprobs=2
    )
    told = answer.choices[0].logprobs
    assert told is not None and told.content is not None

    assert "".join(one.token for one in told.content) == answer.choices[0].message.content
    assert min(one.logprob for one in told.content) < -3.0


async def test_a_form_may_be_shorter_than_was_asked(client: httpx.AsyncClient) -> None:
    """Behind its end there is nothing more to say."""
    asked = {**CHAT, "guided_choice": ["yes"], "min_tokens": 50}
    (choice,) = (await client.post("/v1/chat/completions", json=asked)).json()["choices"]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("yes", "stop")


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_choice": ["yes"], "allowed_token_ids": [5]},
        {"guided_choice": ["yes", "yet"], "bad_words": ["y"]},
        {"guided_regex": "abc+", "bad_words": ["bc"]},
        {"allowed_token_ids": [5], "bad_words": ["%"]},
    ],
)
async def test_what_excludes_each_other_is_the_clients_mistake(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, **fields})

    assert answer.status_code == 400
    assert "exclude each other" in answer.json()["error"]["message"]
