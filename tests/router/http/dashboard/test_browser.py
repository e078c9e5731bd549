"""The page in a real Chromium, of a router with real workers: what it shows, and who can use it.

Screenshots stay where pytest keeps its temporary files: `pytest --basetemp=shots -m browser`.
"""

import re
import time
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from raylax.cluster.autoscaling.receipt import Receipt
from raylax.cluster.autoscaling.snapshot import Snapshot
from raylax.cluster.metrics.history.of_routers import LIMITS, bucket, percentile
from raylax.proto.vocabulary import StepTime
from raylax.proto.wire.outlook import Outlook
from raylax.router.access.keys import Key, hash_of
from raylax.router.http.dashboard.feed import MOST_WATCHERS
from raylax.router.observe.measures import BUCKETS_S
from tests.support.cluster_reports import report
from tests.support.dashboard import ItsWorkers, moment, snapshots
from tests.support.opened_page import BROWSER, DESK, Opened, chromium, say
from tests.support.router_rig import running_http, running_router

pytestmark = BROWSER
WITHIN_MS = 2000
PHONE = {"width": 390, "height": 844}
VIEWS = ["cluster", "requests", "chat", "replay"]
SECRET = "the admin's secret"


async def test_a_worker_that_was_just_killed_is_seen(opened: Opened, tmp_path: Path) -> None:
    """In its row, in the list of events, and said to who does not look; the browser has nothing to
    complain of."""
    page = opened.page
    await opened.go("cluster")
    row = page.get_by_role("row", name="w1")
    await expect(row).to_contain_text("ready")
    await opened.rig.workers[1].die()
    await expect(page.get_by_role("alert")).to_contain_text("w1 was lost", timeout=WITHIN_MS)
    await expect(row).to_contain_text("lost", timeout=WITHIN_MS)
    await expect(page.get_by_role("listitem").filter(has_text="w1 was lost")).to_be_visible()
    await page.screenshot(path=tmp_path / "lost.png", full_page=True)

    assert opened.complaints == []


async def test_workers_that_are_to_come_are_shown(opened: Opened, tmp_path: Path) -> None:
    """One that starts, and one that a request would start."""
    record, coming = opened.metrics.record, opened.page.get_by_label("Workers that are to come")
    await opened.go("cluster")
    await expect(coming).to_have_text("")
    record.report({**report("w9", "failed"), "model": "other"}, moment())
    starts = Outlook(0, 1, time.time() - 5, 20.0)
    record.expect({"tiny": starts, "other": Outlook(0, 0, None, 20.0)})
    told = coming.get_by_role("listitem")
    await expect(told.nth(0)).to_have_text("other: 0 ready, the next request starts one")
    await expect(told.nth(1)).to_have_text(
        re.compile("^tiny: 2 ready, one starting for .* s of about 20.0 s$")
    )
    await opened.page.screenshot(path=tmp_path / "coming.png")

    assert opened.complaints == []


async def test_a_page_that_may_not_watch_says_so(opened: Opened) -> None:
    """Where its view would be; when another one is closed, it goes on."""
    async with AsyncExitStack() as stack:
        for _ in range(MOST_WATCHERS):
            told = await stack.enter_async_context(aclosing(snapshots(opened.url)))
            await anext(told)
        await opened.page.goto(f"{opened.url}/dashboard")
        await expect(opened.page.get_by_text("at most 16 pages may watch")).to_be_visible()
    await expect(opened.page.get_by_role("row", name="w0")).to_be_visible()


async def test_a_call_is_explained(opened: Opened, tmp_path: Path) -> None:
    """Its waterfall in the list, and at length why it went where it did."""
    page = opened.page
    await opened.go("chat")
    await page.get_by_label("Most tokens").fill("8")
    await say(page, "Hello")
    await expect(page.get_by_text("finished by")).to_be_visible()
    await page.get_by_role("link", name="Requests").click()
    row = page.get_by_role("region", name="Ended calls").get_by_role("row").nth(1)
    await expect(row.get_by_role("img")).to_have_accessible_name(_decoded())
    await row.get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("row", name="first token")).to_be_visible()
    await expect(dialog).to_contain_text("expected-latency chose")
    await page.screenshot(path=tmp_path / "explained.png")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)

    assert opened.complaints == []


def _decoded() -> "re.Pattern[str]":
    return re.compile("decode .*s")


async def test_a_minute_of_the_past_is_shown(opened: Opened, tmp_path: Path) -> None:
    """Who worked then, and what happened; of a minute that is not kept the page says which are."""
    page = opened.page
    await opened.go("replay")
    workers = page.get_by_role("region", name="Workers in that minute")
    events = opened.metrics.record.events.after(0)
    joined = next(one.at for one in events if one.who == "old" and one.kind == "joined")
    then = time.strftime("%Y-%m-%dT%H:%M", time.localtime(joined + 120))
    await page.get_by_label("Minute", exact=True).fill(then)
    await page.get_by_role("button", name="One minute earlier").click()
    await expect(workers.get_by_role("row", name="old")).to_contain_text("90")
    await expect(page.get_by_role("figure", name="Tokens/s")).to_contain_text("generated 90")
    await expect(page.get_by_role("listitem").filter(has_text="old joined")).to_be_visible()
    await page.screenshot(path=tmp_path / "replay.png", full_page=True)
    await page.get_by_label("Minute", exact=True).fill("2020-01-01T00:00")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text("That minute is not kept: there is history from")).to_be_visible()

    assert opened.complaints == []


@pytest.mark.parametrize("counts", [[3, 0, 5, *[0] * 6, 90, *[1] * 7], [*[0] * 16, 4]])
async def test_percentiles_are_those_of_the_past(opened: Opened, counts: list[int]) -> None:
    """What the page makes of the feed's histograms, Metrics makes of the ones it keeps."""
    await opened.go("cluster")
    made = await opened.page.evaluate(
        """async ([counts, limits]) => {
            const { quantiles } = await import('/dashboard/assets/quantiles.js');
            return quantiles(counts, limits, [0.5, 0.9, 0.99]); }""",
        [counts, BUCKETS_S],
    )
    pairs = zip(LIMITS, counts, strict=True)
    table = {bucket("ttft", limit): np.array([float(count)]) for limit, count in pairs}
    kept = [percentile("ttft", percent)(table).item() for percent in (50, 90, 99)]

    assert made == pytest.approx(kept)


async def test_the_autoscaler_says_what_it_decided_and_why(opened: Opened) -> None:
    page = opened.page
    now = Snapshot(
        now=9.0, dt=1.0, arrived=40.0, prompt=4000.0, cached=900.0, done=38.0, done_out=3000.0,
        ready=2, decoding=30.0, context=9000.0, todo=500.0, queued=0, queued_tokens=0.0, busy=True,
        target=2, pace=StepTime(), step_tokens=512, start_s=10.0, least=1, most=8,
    )  # fmt: skip
    receipt = Receipt(
        inputs=now, usable=0.9, work=2.31, growth=1.2, need=4, hold=3, backlog_s=0.2, drain=0,
        wish=4, in_time=(0.91, 0.99, 1.0), choice=4, reason="work comes for 4 workers",
    )  # fmt: skip
    await opened.go("cluster")
    opened.metrics.decide(receipt)
    panel = page.get_by_role("region", name="Autoscaler")
    await expect(panel).to_contain_text("tiny: 4 workers", timeout=WITHIN_MS)
    await panel.get_by_text("work comes for 4 workers").click()
    await expect(panel).to_contain_text("2.31")
    await expect(panel).to_contain_text("91%, 99%, 100%")

    assert opened.complaints == []


async def test_a_worker_says_what_it_is_run_with(opened: Opened) -> None:
    page = opened.page
    await opened.go("cluster")
    await page.get_by_role("row", name="w0").get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="w0")
    await expect(dialog).to_contain_text("max_num_sequence")
    await expect(dialog).to_contain_text(opened.rig.workers[0].address)
    await dialog.get_by_role("button", name="Close").click()
    await expect(dialog).to_have_count(0)

    assert opened.complaints == []


@pytest.mark.parametrize("view", VIEWS)
async def test_the_keyboard_reaches_everything(opened: Opened, view: str) -> None:
    """Whatever can be used is come to by Tab, is seen to have the focus, and has a name."""
    page = opened.page
    await opened.go(view)
    await expect(page.locator("main .view").first).to_be_visible()
    await page.locator("body").click(position={"x": 2, "y": 2})
    found = await page.evaluate(
        """() => [...document.querySelectorAll('a, button, input, select, textarea, summary')]
            .filter((one) => one.checkVisibility()).map((one) => (one.dataset.t = Math.random()))"""
    )
    reached, unseen = set(), []
    for _ in range(len(found) + 12):
        await page.keyboard.press("Tab")
        told = await page.evaluate(
            """() => { const one = document.activeElement; const style = getComputedStyle(one);
                return [one.dataset.t, style.outlineStyle, one.outerHTML.slice(0, 80)]; }"""
        )
        reached.add(told[0])
        if told[0] and told[1] == "none":
            unseen.append(told[2])
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, textarea')]
            .filter((one) => one.checkVisibility() && !(one.textContent.trim() || one.ariaLabel ||
                one.labels?.length)).map((one) => one.outerHTML)"""
    )

    assert {str(one) for one in found} <= reached
    assert (unseen, nameless) == ([], [])


async def test_a_screen_reader_is_told_what_there_is(opened: Opened) -> None:
    """By the accessibility tree: landmarks, headings, the table's rows with the bars in words."""
    page = opened.page
    await opened.go("cluster")
    await expect(page.get_by_role("row", name="w0")).to_be_visible()
    tree = await page.locator("body").aria_snapshot()

    assert "banner" in tree and "navigation" in tree and "main" in tree
    for heading in ("Workers", "Queue", "Events", "Autoscaler", "Routers"):
        assert f'heading "{heading}"' in tree
    assert re.search(r'row "w0 ready \d+ pages used, \d+ cached, \d+ free', tree)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_no_view_is_wider_than_its_window(
    opened: Opened, tmp_path: Path, size: dict[str, int], colours: str
) -> None:
    page = opened.page
    await page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    await page.set_viewport_size(size)  # type: ignore[arg-type]
    for view in VIEWS:
        await opened.go(view)
        await expect(page.locator("main .view").first).to_be_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth")
        await page.screenshot(path=tmp_path / f"{view}.png", full_page=True)

        assert wide <= size["width"]


async def test_nothing_moves_while_numbers_come(opened: Opened) -> None:
    """No layout shift, once the first snapshot is there."""
    page = opened.page
    await opened.go("cluster")
    await expect(page.get_by_role("row", name="w0")).to_be_visible()
    moved = await page.evaluate(
        """() => new Promise((resolve) => {
            let moved = 0;
            const watch = (list) => { for (const one of list.getEntries()) moved += one.value; };
            new PerformanceObserver(watch).observe({type: 'layout-shift', buffered: false});
            setTimeout(() => resolve(moved), 2500); })"""
    )

    assert moved < 0.01


async def test_an_admins_key_is_asked_for(checkpoint: Path) -> None:
    """A wrong one is told from a right one; it stays in the tab, and goes with every question."""
    keys = (Key("root", hash_of(SECRET), admin=True),)
    async with (
        running_router(checkpoint, keys=keys) as rig,
        running_http(rig.models, ItsWorkers(rig)) as url,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await page.goto(f"{url}/dashboard")
        await page.get_by_label("API key").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="not one of")).to_be_visible()
        await page.get_by_label("API key").fill(SECRET)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("row", name="w0")).to_contain_text("ready")
        await page.reload()
        await expect(page.get_by_role("row", name="w0")).to_contain_text("ready")
        await page.get_by_role("link", name="Chat", exact=True).click()
        await page.get_by_label("Most tokens").fill("4")
        await say(page, "Hello")
        await expect(page.get_by_text("finished by")).to_be_visible()
