"""The chat of the page, in a real Chromium."""

import json
from pathlib import Path
from typing import Any

from playwright.async_api import Request, expect

from tests.support.opened_page import BROWSER, Opened, say

pytestmark = BROWSER


async def test_a_chat_shows_what_each_token_might_have_been(opened: Opened, tmp_path: Path) -> None:
    """Under the cursor, and for who has none by the arrow keys."""
    page = opened.page
    await opened.go("chat")
    await page.get_by_label("Most tokens").fill("12")
    await say(page, "Tell me something")
    await expect(page.get_by_text("finished by")).to_be_visible()
    tokens = page.locator(".token")
    await tokens.nth(1).hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("%")
    await page.mouse.move(0, 0)
    await expect(page.get_by_role("tooltip")).to_have_count(0)
    await tokens.first.focus()
    await page.keyboard.press("ArrowRight")
    await expect(tokens.nth(1)).to_be_focused()
    await expect(page.get_by_role("tooltip").get_by_role("row")).to_have_count(5)
    await page.screenshot(path=tmp_path / "chat.png")

    assert opened.complaints == []


async def test_a_schema_and_what_is_wrong_with_one(opened: Opened) -> None:
    """It goes with the question, as tools do; a mistake is said where one looks."""
    page = opened.page
    asked: list[Any] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            asked.append(request.post_data_json)

    page.on("request", note)
    await opened.go("chat")
    await page.get_by_text("JSON schema", exact=True).click()
    schema = page.get_by_label("The answer is JSON that this schema allows")
    await schema.fill('{"enum": ["yes"]}')
    await page.get_by_text("Tools", exact=True).click()
    await page.get_by_label("Functions that the model may call").fill("[]")
    await say(page, "Is it?")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await schema.fill("{")
    await say(page, "Is it?")
    await expect(page.get_by_role("alert").filter(has_text="JSON schema:")).to_be_visible()
    (told,) = asked

    assert told["response_format"]["json_schema"]["schema"] == {"enum": ["yes"]}
    assert (told["tools"], told["logprobs"]) == ([], True)
    assert told["tool_choice"] == "auto"


LOOK = [{"type": "function", "function": {"name": name}} for name in ("look", "stop")]


async def test_which_functions_are_called_can_be_said(opened: Opened) -> None:
    """None, any or a certain one of those that are offered now; what must be called is."""
    page = opened.page
    await opened.go("chat")
    await page.get_by_text("Tools", exact=True).click()
    tools, choice = (
        page.get_by_label("Functions that the model may call"),
        page.get_by_label("Calls"),
    )
    await tools.fill("[{")
    await expect(choice.get_by_role("option")).to_have_text(
        ["as the model likes", "at least one", "none"]
    )
    await tools.fill(json.dumps(LOOK))
    asked = []
    for label, name in (("stop, always", "stop("), ("look, always", "look("), ("none", None)):
        await choice.select_option(label=label)
        async with page.expect_request("**/v1/chat/completions") as sent:
            await say(page, "Now")
        body: Any = (await sent.value).post_data_json
        asked.append(body["tool_choice"])
        if name:
            await expect(page.locator(".tools").last).to_contain_text(name)
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        await page.get_by_role("button", name="New chat").click()
    await choice.select_option(label="stop, always")
    await tools.fill(json.dumps(LOOK[:1]))
    await expect(choice).to_have_value("auto")

    assert asked == [
        {"type": "function", "function": {"name": "stop"}},
        {"type": "function", "function": {"name": "look"}},
        "none",
    ]
    assert opened.complaints == []


async def test_what_a_model_says_is_text(opened: Opened) -> None:
    """Nor is what its user says markup."""
    page = opened.page
    await opened.go("chat")
    await page.get_by_label("Most tokens").fill("1")
    await say(page, "<img src=x onerror=alert(1)>")
    await expect(page.get_by_text("finished by")).to_be_visible()

    assert await page.locator("main img").count() == 0
    assert opened.complaints == []
