"""The files of /dashboard: who is given them, and what they may do in a browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.dashboard.page import INDEX, assets
from tests.support.router_rig import PATIENCE_S, running_http

MOST_BYTES = 200_000
ADMIN, TENANT = "the admin's secret", "a tenant's"
KEYS = (Key("root", hash_of(ADMIN), admin=True), Key("acme", hash_of(TENANT)))
OURS = {name: asset for name, asset in assets().items() if not name.startswith("vendor/")}


@asynccontextmanager
async def served(checkpoint: Path, **config: object) -> AsyncIterator[httpx.AsyncClient]:
    """A router without workers."""
    models = Models([RouterConfig("tiny", str(checkpoint), "", **config)])  # type: ignore[arg-type]
    async with (
        running_http(models) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def first_status(client: httpx.AsyncClient, headers: dict[str, str]) -> int:
    """Of the feed, which goes on."""
    async with client.stream("GET", "/dashboard/events", headers=headers) as reply:
        return reply.status_code


async def test_without_keys_everybody_has_the_page(checkpoint: Path) -> None:
    async with served(checkpoint) as client:
        page = await client.get("/dashboard")
        named = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
        files = [await client.get(path) for path in named]

        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert [file.status_code for file in files] == [200] * len(named) and len(named) >= 4
        assert await first_status(client, {}) == 200


async def test_browsers_are_told_to_ask_nobody_else(checkpoint: Path) -> None:
    async with served(checkpoint) as client:
        replies = [await client.get(f"/dashboard/assets/{name}") for name in assets()]
    policies = {reply.headers["content-security-policy"] for reply in replies}
    (policy,) = policies

    assert "default-src 'none'" in policy and "script-src 'self';" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert {reply.headers["x-content-type-options"] for reply in replies} == {"nosniff"}


async def test_with_keys_the_page_asks_for_an_admins(checkpoint: Path) -> None:
    """Its files tell nothing, so that it can ask: all that is told is behind the key."""
    async with served(checkpoint, keys=KEYS) as client:
        given: list[dict[str, str]] = [{}, bearer("wrong"), bearer(TENANT), bearer(ADMIN)]
        pages = [await client.get("/dashboard", headers=one) for one in given]
        feeds = [await first_status(client, one) for one in given]
        file = await client.get("/dashboard/assets/main.js")

    assert [page.status_code for page in pages] == feeds == [401, 401, 403, 200]
    assert [page.text for page in (pages[0], pages[3])] == [assets()[INDEX].content.decode()] * 2
    assert pages[0].headers["www-authenticate"] == "Bearer"
    assert pages[1].json()["error"]["code"] == "invalid_api_key"
    assert file.status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "../page.py", "%2e%2e/page.py", "vendor", ""])
async def test_an_unknown_file_is_not_found(checkpoint: Path, name: str) -> None:
    async with served(checkpoint) as client:
        reply = await client.get(f"/dashboard/assets/{name}")

    assert reply.status_code == 404


async def test_it_can_be_switched_off(checkpoint: Path) -> None:
    async with served(checkpoint, dashboard=False) as client:
        paths = ("", "/events", "/assets/main.js")
        replies = [await client.get(f"/dashboard{path}") for path in paths]

    assert [reply.status_code for reply in replies] == [404, 404, 404]


async def test_a_file_is_sent_once(checkpoint: Path) -> None:
    """While it stays as it is."""
    async with served(checkpoint) as client:
        first = await client.get("/dashboard/assets/main.js")
        known = {"If-None-Match": first.headers["etag"]}
        again = await client.get("/dashboard/assets/main.js", headers=known)

    assert (again.status_code, again.content) == (304, b"")


def test_the_page_is_small() -> None:
    assert sum(len(asset.content) for asset in assets().values()) < MOST_BYTES


@pytest.mark.parametrize("name", OURS)
def test_data_never_become_markup(name: str) -> None:
    """Nor does any file of ours name another site, but for the namespace of SVG."""
    text = OURS[name].content.decode()

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
    assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_the_library_has_its_licence() -> None:
    assert b"MIT License" in assets()["vendor/uplot-licence.txt"].content


def test_every_module_that_is_imported_is_there() -> None:
    for name, asset in OURS.items():
        for path in re.findall(r'from "\./([^"]+)"', asset.content.decode()):
            assert path in assets(), f"{name} imports {path}"
