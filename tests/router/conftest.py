"""A router with one worker and a tiny model: a test's own, or shared by the tests of a module."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.router_rig import PATIENCE_S, Rig, running_router


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """Whoever has it may do to it what they like."""
    async with running_router(checkpoint) as made:
        yield made


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_rig(checkpoint: Path) -> AsyncIterator[Rig]:
    """Tests leave it as they found it. A module that asks for it runs on one event loop:
    `pytestmark = pytest.mark.asyncio(loop_scope="module")`."""
    async with running_router(checkpoint) as made:
        yield made
