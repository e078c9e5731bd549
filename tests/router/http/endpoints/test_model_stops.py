"""Stop strings of the model's own, in each API: an answer ends there as at its end token."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
import pytest_asyncio

from tests.support.mlc_packages import write_scripted_package
from tests.support.router_rig import PATIENCE_S, Rig, openai_client_of, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
HI: Any = {"role": "user", "content": "hi"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def packaged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Of a package of MLC, whose conversation's template has one."""
    package = write_scripted_package(
        tmp_path_factory.mktemp("package"), ("Well. ", "a##", "# Human"), stop_str="###"
    )
    async with running_router(package) as rig:
        yield rig


async def test_openais(packaged: Rig) -> None:
    async with openai_client_of(packaged) as client:
        chat = await client.chat.completions.create(model="tiny", messages=[HI], temperature=0)
        (choice,) = chat.choices
        assert (choice.message.content, choice.finish_reason) == ("Well. a", "stop")
        response = await client.responses.create(model="tiny", input="hi", temperature=0)
        assert (response.output_text, response.status) == ("Well. a", "completed")


async def test_anthropics(packaged: Rig) -> None:
    """It is no stop sequence that the client gave, unless it gave the same one."""
    client = anthropic.AsyncAnthropic(
        base_url=packaged.url, api_key="none", max_retries=0, timeout=PATIENCE_S
    )
    async with client:
        for given, reason, found in (
            ([], "end_turn", None),
            (["###"], "stop_sequence", "###"),
        ):
            answer = await client.messages.create(
                model="tiny",
                messages=[HI],
                max_tokens=8,
                stop_sequences=given,
                extra_body={"temperature": 0},
            )
            assert [block.text for block in answer.content] == ["Well. a"]
            assert (answer.stop_reason, answer.stop_sequence) == (reason, found)


async def test_in_a_form_that_ends_by_itself_they_are_text(tmp_path: Path) -> None:
    """But those of the client, who wanted it so."""
    package = write_scripted_package(tmp_path, ("well",), stop_str="el")
    async with running_router(package) as rig, openai_client_of(rig) as client:
        for stop, text in ((None, "hello"), ("lo", "hel")):
            chat = await client.chat.completions.create(
                model="tiny", messages=[HI], stop=stop, extra_body={"guided_choice": ["hello"]}
            )
            (choice,) = chat.choices
            assert (choice.message.content, choice.finish_reason) == (text, "stop")
        completion = await client.completions.create(
            model="tiny", prompt="hi", extra_body={"guided_choice": ["hello"]}
        )
        assert completion.choices[0].text == "hello"
