"""Calls that must be made, as clients of each API ask for them. The model has random weights: it
knows no function."""

import json
import re
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Rome", "Oslo"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
LOOK: dict[str, Any] = {"name": "look", "parameters": SCHEMA}
HI: list[Any] = [{"role": "user", "content": "hi"}]
ASK: dict[str, Any] = {
    "model": "tiny",
    "messages": HI,
    "max_tokens": 120,
    "tools": [{"type": "function", "function": LOOK}],
    "parallel_tool_calls": False,
}

TWO_LINES = r'[ab]{2}"\n[x-z]'
LINES = r"""start: line line?
line: ("+" | "-") TEXT LF
TEXT: /[a"\\]{1,3}/
%import common.LF
"""


def custom(syntax: str, definition: str) -> Any:
    form = {"type": "grammar", "syntax": syntax, "definition": definition}
    return {"type": "custom", "name": "edit", "format": form}


class Look(BaseModel):
    city: str = Field(pattern="^[A-D]{1,3}$")


def check(arguments: str) -> None:
    jsonschema.validate(json.loads(arguments), SCHEMA)


@pytest.mark.parametrize("seed", range(3))
async def test_a_call_must_be_made(openai_client: openai.AsyncOpenAI, seed: int) -> None:
    answer = await openai_client.chat.completions.create(
        **ASK, tool_choice="required", seed=seed, temperature=1.5
    )
    (choice,) = answer.choices
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert call.type == "function" and call.function.name == "look"
    check(call.function.arguments)


async def test_streamed_pieces_are_the_same_call(openai_client: openai.AsyncOpenAI) -> None:
    asked = {**ASK, "tool_choice": {"type": "function", "function": {"name": "look"}}, "seed": 4}
    whole = await openai_client.chat.completions.create(**asked)
    pieces = ""
    async for chunk in await openai_client.chat.completions.create(**asked, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            pieces += call.function.arguments or ""
    assert whole.choices[0].message.tool_calls is not None
    (said,) = whole.choices[0].message.tool_calls

    assert said.type == "function" and said.function.arguments == pieces
    check(pieces)


async def test_openais_parse_of_a_strict_function(openai_client: openai.AsyncOpenAI) -> None:
    answer = await openai_client.chat.completions.parse(
        model="tiny",
        messages=HI,
        max_tokens=120,
        tools=[openai.pydantic_function_tool(Look)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None

    assert isinstance(calls[0].function.parsed_arguments, Look)


async def test_responses_and_messages(
    openai_client: openai.AsyncOpenAI, client: httpx.AsyncClient
) -> None:
    response = await openai_client.responses.create(
        model="tiny",
        input="hi",
        max_output_tokens=120,
        tools=[{"type": "function", **LOOK, "strict": True}],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
    )
    asked = {
        "model": "tiny",
        "max_tokens": 120,
        "messages": HI,
        "tools": [{"name": "look", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }
    message = (await client.post("/v1/messages", json=asked)).json()
    (item,), (block,) = response.output, message["content"]

    assert item.type == "function_call" and item.name == "look"
    check(item.arguments)
    assert message["stop_reason"] == block["type"] == "tool_use"
    assert block["name"] == "look"
    jsonschema.validate(block["input"], SCHEMA)


@pytest.mark.parametrize(
    ("syntax", "definition", "expected"),
    [("regex", TWO_LINES, TWO_LINES), ("lark", LINES, r'([+-][a"\\]{1,3}\n){1,2}')],
)
async def test_a_text_that_a_tool_takes(
    openai_client: openai.AsyncOpenAI, syntax: str, definition: str, expected: str
) -> None:
    """It is in the form that the tool says, whatever the model knows."""
    response = await openai_client.responses.create(
        model="tiny",
        input="hi",
        max_output_tokens=120,
        tools=[custom(syntax, definition)],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    (item,) = response.output

    assert item.type == "custom_tool_call" and item.name == "edit"
    assert re.fullmatch(expected, item.input)


@pytest.mark.parametrize(
    ("syntax", "definition", "said"),
    [
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("lark", "start: a b", "unknown name"),
        ("lark", 'start: "(" start ")" | "x"', "circular reference"),
        ("lark", "start: %json {}", "%json cannot be used in the grammar of a tool's input"),
    ],
)
async def test_a_text_that_no_call_can_have(
    openai_client: openai.AsyncOpenAI, syntax: str, definition: str, said: str
) -> None:
    space = {"type": "namespace", "name": "a", "tools": [custom(syntax, definition)]}
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        await openai_client.responses.create(
            model="tiny", input="hi", tools=[{"type": "web_search"}, space], tool_choice="required"
        )

    assert caught.value.param == "tools.1.tools.0.format.definition"


async def test_a_call_that_is_cut_says_so(openai_client: openai.AsyncOpenAI) -> None:
    """Of the call there is what came of it."""
    answer = await openai_client.chat.completions.create(
        **{**ASK, "max_tokens": 50}, tool_choice="required"
    )
    (choice,) = answer.choices
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls

    assert choice.finish_reason == "length"
    assert call.type == "function" and call.function.arguments.startswith("{")
    with pytest.raises(ValueError):
        json.loads(call.function.arguments)
