"""The HTTP API's clients, of a router that the tests of a module share: see `shared_rig`."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
import pytest_asyncio

from tests.support.router_rig import PATIENCE_S, Rig, openai_client_of


@pytest.fixture(scope="module")
def rig(shared_rig: Rig) -> Rig:
    return shared_rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def openai_client(rig: Rig) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai_client_of(rig) as made:
        yield made
