"""The page, opened in a real Chromium."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.dashboard import ItsWorkers
from tests.support.opened_page import Opened, opening
from tests.support.router_rig import ENGINE, running_router


@pytest.fixture
async def opened(checkpoint: Path) -> AsyncIterator[Opened]:
    engine = replace(ENGINE, spec_draft_length=2)
    async with running_router(checkpoint, 2, engine) as rig:
        metrics = ItsWorkers(rig)
        async with opening(rig, metrics) as made:
            metrics.remember(300)
            yield made
