"""The page of one of two routers, in front of the same workers, shows what both have."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.support.dashboard import ItsWorkers, snapshot, snapshots
from tests.support.opened_page import BROWSER, opening
from tests.support.router_rig import PATIENCE_S, Rig, SteppedWorker, a_router, running_router, until

CHAT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 200, "ignore_eos": True, "stream": True,
}  # fmt: skip
Two = tuple[Rig, Rig]


@pytest.fixture
async def two(checkpoint: Path) -> AsyncIterator[Two]:
    async with (
        running_router(checkpoint) as one,
        a_router(one.models.config, one.workers) as other,
    ):
        addresses = {one.models.peers.address, other.models.peers.address}
        await until(lambda: one.models.peers._others | other.models.peers._others == addresses)
        yield one, other


async def begun(stack: AsyncExitStack, rig: Rig, **more: Any) -> str:
    """A call of this router whose answer has begun: its head comes with the first part. Its id."""
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S)
    )
    asked = client.stream("POST", "/v1/chat/completions", json={**CHAT, **more})
    reply = await stack.enter_async_context(asked)
    return str(reply.headers["X-Raylax-Call-Id"])


@asynccontextmanager
async def slow(worker: SteppedWorker) -> AsyncIterator[None]:
    """It makes a few steps a second: what runs stays, and nobody takes it for stuck."""

    worker.hold(1)

    async def step() -> None:
        while (steps := worker._steps) is not None:
            steps.release()
            await asyncio.sleep(0.2)

    stepping = asyncio.create_task(step())
    try:
        yield
    finally:
        stepping.cancel()
        worker.let_go()


async def test_calls_of_both_are_told_with_their_timelines(two: Two) -> None:
    """While they run, the oldest first, and after it."""
    one, other = two
    async with AsyncExitStack() as stack:
        async with slow(one.workers[0]):
            theirs, ours = await begun(stack, other), await begun(stack, one)
            during = (await snapshot(one.url))["calls"]
        await until(lambda: not any(rig.service.journal.entries for rig in two))
    await until(lambda: other.models.state.timelines.find(theirs).ended_s is not None)
    after = {call["id"]: call for call in (await snapshot(one.url))["calls"]}
    names = {ours: one.models.peers.address, theirs: other.models.peers.address}

    assert [call["id"] for call in during] == [theirs, ours]
    assert {call["id"]: call["router"] for call in during} == names
    for call in during:
        (attempt,) = call["attempts"]
        assert attempt["worker"] == "w0" and attempt["first_s"] <= call["now_s"]
        assert 0 < call["tokens"] < 200 and call["ended_s"] is None
    assert after[theirs]["ended_s"] > 0 and after[theirs]["tokens"] == 200


async def test_queues_and_workers_are_told_by_each(two: Two) -> None:
    """By class and tenant: the page adds them up."""
    one, other = two
    async with AsyncExitStack() as stack, slow(one.workers[0]):
        for rig in (one, other, other):
            await begun(stack, rig)
        told = {router["router"]: router for router in (await snapshot(one.url))["routers"]}
    queues = [told[rig.models.peers.address]["models"]["tiny"]["queue"] for rig in two]

    assert [[(row["class"], row["running"]) for row in queue] for queue in queues] == [
        [("normal", 1)],
        [("normal", 2)],
    ]
    assert all("w0" in router["models"]["tiny"]["workers"] for router in told.values())
    assert not any(router["silent"] for router in told.values())


async def test_of_a_router_that_is_silent_the_last_is_told(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds nobody up, and is said to be silent; nothing of it, where it has never answered."""
    one, other = two
    monkeypatch.setattr("raylax.router.http.endpoints.dashboard.ANSWER_S", 0.01)
    address = other.models.peers.address
    async with aclosing(snapshots(one.url)) as told:
        while (first := (await anext(told))["routers"][1])["silent"]:
            monkeypatch.setattr("raylax.router.http.endpoints.dashboard.ANSWER_S", PATIENCE_S)
        one.models.peers._token = "another"  # so that its answers are believed no more
        while not (then := (await anext(told))["routers"][1])["silent"]:
            pass
        one.models.peers.heard([one.models.peers.address, "127.0.0.1:1"])
        while (unknown := (await anext(told))["routers"][1])["router"] == address:
            pass

    assert (then["router"], then["models"]) == (address, first["models"])
    assert (unknown["silent"], unknown["models"], unknown["running"]) == (True, {}, 0)


@BROWSER[0]
@BROWSER[1]
async def test_the_page_shows_what_both_have(two: Two, tmp_path: Path) -> None:
    """Their calls, which can be explained, their queues as one, and each of them; what both have
    lost is told once."""
    one, other = two
    tenant_calls = (one, other, other)
    async with AsyncExitStack() as stack, slow(one.workers[0]):
        ids = [await begun(stack, rig) for rig in tenant_calls]
        opened = await stack.enter_async_context(opening(one, ItsWorkers(one)))
        page = opened.page
        await opened.go("cluster")
        queue = page.get_by_role("region", name="Queue by tenant and class").get_by_role("row")
        await expect(queue.nth(1)).to_have_text("anybodynormaltiny003")
        for rig in two:
            row = page.get_by_role("row", name=rig.models.peers.address)
            await expect(row).to_contain_text("answers")
        await page.screenshot(path=tmp_path / "routers.png", full_page=True)
        await page.get_by_role("link", name="Requests", exact=True).click()
        running = page.get_by_role("region", name="Running calls")
        for call, rig in zip(ids, tenant_calls, strict=True):
            row = running.get_by_role("row", name=call)
            await expect(row).to_contain_text(rig.models.peers.address)
            await expect(row.get_by_role("img")).to_have_accessible_name(re.compile("decode .*s"))
        await page.screenshot(path=tmp_path / "requests.png")
        await running.get_by_role("button", name=ids[1]).click()
        dialog = page.get_by_role("dialog", name=ids[1])
        await expect(dialog.get_by_role("row", name="first token")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.get_by_role("link", name="Cluster", exact=True).click()
        await one.workers[0].die()
        lost = page.get_by_role("listitem").filter(has_text="w0 was lost")
        await expect(lost).to_be_visible()
        await expect(lost).to_have_count(1)

        assert opened.complaints == []
