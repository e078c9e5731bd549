"""gpt-oss as clients hear it: a checkpoint of its shape, whose answers have its form, is told apart
into thoughts, text and calls."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.support.router_rig import PATIENCE_S, running_router
from tests.support.scripted_oss import write_scripted_oss

pytestmark = pytest.mark.asyncio(loop_scope="module")
THOUGHT = ("<|channel|>", "analysis", "<|message|>", "Rome, then. ", "Look it up.", "<|end|>")
NEXT = ("<|start|>", "assistant")
SAID = (*NEXT, "<|channel|>", "final", "<|message|>", "It is ", "sunny.", "<|return|>")
PREAMBLE = (*NEXT, "<|channel|>", "commentary", "<|message|>", "I look.", "<|end|>")
CALL = (
    *NEXT, "<|channel|>", "commentary to=functions.look ", "<|constrain|>", "json", "<|message|>",
    '{"city": ', '"Rome"}', "<|call|>",
)  # fmt: skip
LOOK: dict[str, Any] = {
    "name": "look",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TOOLS: Any = [{"type": "function", "function": LOOK}]
ASK: dict[str, Any] = {
    "model": "tiny", "temperature": 0, "messages": [{"role": "user", "content": "weather?"}],
}  # fmt: skip


async def serving(path: Path, *pieces: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running_router(write_scripted_oss(path, pieces)) as rig,
        openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key="-", timeout=PATIENCE_S) as made,
    ):
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speaker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """Of a model that thinks, and speaks."""
    async for made in serving(tmp_path_factory.mktemp("speaker"), *THOUGHT, *SAID):
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """Of one that thinks, says what it does, and calls a function."""
    async for made in serving(tmp_path_factory.mktemp("caller"), *THOUGHT, *PREAMBLE, *CALL):
        yield made


async def test_a_chat_streams_the_analysis_and_then_the_final_text(
    speaker: openai.AsyncOpenAI,
) -> None:
    stream = await speaker.chat.completions.create(**ASK, stream=True)
    deltas = [chunk.choices[0] async for chunk in stream]
    thoughts = [one for each in deltas if (one := getattr(each.delta, "reasoning_content", None))]
    said = [each.delta.content for each in deltas if each.delta.content]

    assert thoughts == ["Rome, then. ", "Look it up."]
    assert said == ["It is ", "sunny."]
    assert deltas[-1].finish_reason == "stop"
    whole = await speaker.chat.completions.create(**ASK)
    assert whole.choices[0].message.content == "It is sunny."
    assert getattr(whole.choices[0].message, "reasoning_content", "") == "Rome, then. Look it up."


async def test_a_chat_streams_a_call_behind_what_is_said_of_it(caller: openai.AsyncOpenAI) -> None:
    stream = await caller.chat.completions.create(**ASK, tools=TOOLS, stream=True)
    deltas = [chunk.choices[0] async for chunk in stream]
    thoughts = [one for each in deltas if (one := getattr(each.delta, "reasoning_content", None))]
    said = [each.delta.content for each in deltas if each.delta.content]
    calls = [one.function for each in deltas for one in each.delta.tool_calls or ()]

    assert "".join(thoughts) == "Rome, then. Look it up."
    assert "".join(said) == "I look."
    assert [one.name for one in calls if one and one.name] == ["look"]
    arguments = [one.arguments for one in calls if one and one.arguments]
    assert json.loads("".join(arguments)) == {"city": "Rome"} and len(arguments) > 1
    assert deltas[-1].finish_reason == "tool_calls"


async def test_a_response_streams_an_item_for_each(speaker: openai.AsyncOpenAI) -> None:
    stream = await speaker.responses.create(
        model="tiny", input="weather?", temperature=0, stream=True
    )
    events = [event async for event in stream]
    final = events[-1]

    assert final.type == "response.completed"
    assert [one.type for one in final.response.output] == ["reasoning", "message"]
    assert final.response.output_text == "It is sunny."
    thoughts = [one.delta for one in events if one.type == "response.reasoning_text.delta"]
    assert thoughts == ["Rome, then. ", "Look it up."]
    said = [one.delta for one in events if one.type == "response.output_text.delta"]
    assert said == ["It is ", "sunny."]


async def test_a_response_streams_a_call(caller: openai.AsyncOpenAI) -> None:
    stream = await caller.responses.create(
        model="tiny", input="weather?", temperature=0, tools=[{"type": "function", **LOOK}],
        stream=True,
    )  # fmt: skip
    events = [event async for event in stream]
    output = events[-1].response.output

    assert [one.type for one in output] == ["reasoning", "message", "function_call"]
    assert output[1].content[0].text == "I look."
    assert (output[2].name, json.loads(output[2].arguments)) == ("look", {"city": "Rome"})
    pieces = [one.delta for one in events if one.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(pieces)) == {"city": "Rome"}


@pytest.mark.parametrize("effort", ["low", "high"])
async def test_how_much_it_thinks_is_told_to_the_template(
    speaker: openai.AsyncOpenAI, effort: Any
) -> None:
    """By one token less, or one more."""
    usual = await speaker.chat.completions.create(**ASK, reasoning_effort="medium")
    asked = await speaker.chat.completions.create(**ASK, reasoning_effort=effort)

    assert asked.usage is not None and usual.usage is not None
    less = len("medium") - len(effort)
    assert usual.usage.prompt_tokens - asked.usage.prompt_tokens == less
