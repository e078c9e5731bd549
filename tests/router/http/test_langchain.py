"""LangChain's ChatOpenAI against a real router: whole, streamed, with a tool that is called."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from tests.support.router_rig import PATIENCE_S, Rig, running_router
from tests.support.scripted import write_scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")


def look(city: str) -> str:
    """Look at a city."""
    return f"{city} is sunny"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Of a model that calls a function, whatever it is asked."""
    checkpoint: Path = write_scripted(tmp_path_factory.mktemp("scripted"))
    async with running_router(checkpoint) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def model(rig: Rig, request: pytest.FixtureRequest) -> ChatOpenAI:
    """By either of OpenAI's APIs."""
    made: Any = ChatOpenAI(
        model="tiny", base_url=f"{rig.url}/v1", api_key="none", temperature=0, max_retries=0,
        timeout=PATIENCE_S, use_responses_api=request.param, stream_usage=True,
    )  # fmt: skip
    return made


async def test_invoke_and_stream_agree(model: ChatOpenAI) -> None:
    """The same text, and as many tokens."""
    whole = await model.ainvoke("hi")
    chunks = [chunk async for chunk in model.astream("hi")]
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined = joined + chunk

    assert whole.text.startswith("I look. <tool_call>")
    assert len(chunks) > 2 and joined.text == whole.text
    assert joined.usage_metadata is not None and whole.usage_metadata is not None
    assert joined.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


async def test_a_tool_is_called_and_its_result_is_understood(model: ChatOpenAI) -> None:
    """The call is parsed, whole and streamed, and the conversation goes on with its result."""
    bound = model.bind_tools([look])
    asked = await bound.ainvoke("hi")
    chunks = [chunk async for chunk in bound.astream("hi")]
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined = joined + chunk
    (call,) = asked.tool_calls
    result = ToolMessage(look(**call["args"]), tool_call_id=call["id"])
    answer = await bound.ainvoke([HumanMessage("hi"), asked, result])

    assert (call["name"], call["args"], asked.text) == ("look", {"city": "Rome"}, "I look. ")
    assert [(c["name"], c["args"]) for c in joined.tool_calls] == [("look", {"city": "Rome"})]
    assert answer.tool_calls
