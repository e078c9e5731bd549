"""LangChain's ChatOpenAI against a real router: whole, streamed, with a tool that is called.

It is imported where it is used: every process of the suite imports this file, and one runs it.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

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


@pytest_asyncio.fixture(params=[False, True], ids=["chat", "responses"], loop_scope="module")
async def model(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A ChatOpenAI, by either of OpenAI's APIs."""
    from langchain_openai import ChatOpenAI

    async with httpx.AsyncClient() as client:
        yield ChatOpenAI(
            model="tiny", base_url=f"{rig.url}/v1", api_key="none", temperature=0, max_retries=0,
            timeout=PATIENCE_S, use_responses_api=request.param, stream_usage=True,
            http_async_client=client,
        )  # fmt: skip


async def test_invoke_and_stream_agree(model: Any) -> None:
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


async def test_a_tool_is_called_and_its_result_is_understood(model: Any) -> None:
    """The call is parsed, whole and streamed, and the conversation goes on with its result."""
    from langchain_core.messages import HumanMessage, ToolMessage

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
