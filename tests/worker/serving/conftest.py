"""A served engine for the tests of this room."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.worker_step_server import ServedEngine, serving


@pytest.fixture
async def worker(checkpoint: Path) -> AsyncIterator[ServedEngine]:
    async with serving(checkpoint) as made:
        yield made


@pytest.fixture
async def impatient(checkpoint: Path) -> AsyncIterator[ServedEngine]:
    """Who reads nothing for a fifth of a second is cut off."""
    async with serving(checkpoint, unread_s=0.2) as made:
        yield made
