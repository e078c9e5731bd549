"""The page at /dashboard, opened in a real Chromium."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.chromium import environment, program
from tests.support.dashboard import ItsWorkers
from tests.support.router_rig import PATIENCE_S, Rig, running_http

CHROMIUM = program()
BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: scripts/chromium fetches it"),
]
"""The marks of tests that need one."""
expect.set_options(timeout=1000 * PATIENCE_S)
DESK = {"width": 1360, "height": 900}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, env=environment(), chromium_sandbox=os.geteuid() != 0
        )
        yield browser
        await browser.close()


@dataclass
class Opened:
    """A page, its router, Metrics, and what the browser complains of."""

    page: Page
    rig: Rig
    metrics: ItsWorkers
    url: str
    complaints: list[str]

    async def go(self, view: str) -> None:
        """To one of the views, once the feed has told something."""
        await self.page.goto(f"{self.url}/dashboard#{view}")
        await expect(self.page.get_by_role("status").first).to_have_text("live")


@asynccontextmanager
async def opening(rig: Rig, metrics: ItsWorkers) -> AsyncIterator[Opened]:
    async with running_http(rig.models, metrics) as url, chromium() as browser:
        page = await browser.new_page(viewport=DESK, reduced_motion="reduce")  # type: ignore[arg-type]
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield Opened(page, rig, metrics, url, complaints)


async def say(page: Page, text: str) -> None:
    """To the model, in the chat."""
    await page.get_by_role("textbox", name="Message", exact=True).fill(text)
    await page.keyboard.press("Enter")
