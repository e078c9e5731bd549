"""What a web page can do to a cluster without keys: nothing. Each route says who may ask for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route, Router

from raylax.router.access.keys import Key, hash_of
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.app import build_app, guard_of
from raylax.router.http.authentication import AuthenticationMiddleware
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.router_rig import PATIENCE_S, running_http

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "https://chat.example.org"
ADMIN = "the admin's secret"
READS, ASKS, CHANGES = "reads", "asks a model", "changes the cluster"
ROUTES = {
    "GET /health": READS,
    "GET /health/ready": READS,
    "GET /health/live": READS,
    "GET /ping": READS,
    "POST /ping": READS,
    "GET /version": READS,
    "GET /tokenizer_info": READS,
    "GET /metrics": READS,
    "GET /cluster": READS,
    "GET /cluster/history": READS,
    "GET /cluster/events": READS,
    "GET /cluster/scaling": READS,
    "GET /dashboard": READS,
    "GET /dashboard/assets/{name:path}": READS,
    "GET /dashboard/events": READS,
    "GET /usage": READS,
    "GET /openapi.json": READS,
    "GET /docs": READS,
    "GET /explain/{call_id}": READS,
    "GET /v1/models": READS,
    "GET /v1/models/{name:path}": READS,
    "GET /v1/streams/{call_id}": READS,
    "GET /v1/responses/{id}": READS,
    "GET /v1/responses/{id}/input_items": READS,
    "POST /v1/responses/{id}/cancel": ASKS,
    "DELETE /v1/responses/{id}": ASKS,
    "POST /v1/chat/completions": ASKS,
    "POST /v1/completions": ASKS,
    "POST /v1/responses": ASKS,
    "POST /v1/messages": ASKS,
    "POST /v1/messages/count_tokens": ASKS,
    "POST /v1/embeddings": ASKS,
    "POST /classify": ASKS,
    "POST /v1/classify": ASKS,
    "POST /v1/score": ASKS,
    "POST /score": ASKS,
    "POST /v1/rerank": ASKS,
    "POST /rerank": ASKS,
    "POST /v2/rerank": ASKS,
    "GET /v1/files": READS,
    "GET /v1/files/{id}": READS,
    "GET /v1/files/{id}/content": READS,
    "POST /v1/files": ASKS,
    "DELETE /v1/files/{id}": ASKS,
    "GET /v1/batches": READS,
    "GET /v1/batches/{id}": READS,
    "POST /v1/batches": ASKS,
    "POST /v1/batches/{id}/cancel": ASKS,
    "POST /tokenize": ASKS,
    "POST /detokenize": ASKS,
    "POST /cluster/drain/{worker}": CHANGES,
    "POST /debug/call_func_on_all_worker": CHANGES,
    "POST /debug/dump_event_trace": CHANGES,
    "POST /debug/dump_engine_metrics": CHANGES,
    "POST /debug/reset_engine": CHANGES,
    "POST /debug/sleep": CHANGES,
    "POST /debug/wake_up": CHANGES,
    "POST /debug/is_sleeping": CHANGES,
    "POST /debug/cuda_profiler_start": CHANGES,
    "POST /debug/cuda_profiler_stop": CHANGES,
}
"""What there is, and what it does: whoever adds a route thinks of pages here."""
CHANGING = [route for route, does in ROUTES.items() if does == CHANGES]


def models(checkpoint: Path, **config: object) -> Models:
    settings = RouterConfig("tiny", str(checkpoint), "", enable_debug=True, **config)  # type: ignore[arg-type]
    return Models([settings])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(checkpoint: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Of a cluster without keys, where one foreign page may ask."""
    async with (
        running_http(models(checkpoint, cors_origins=(PAGE,))) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as made,
    ):
        yield made


def parts(route: str) -> tuple[str, str]:
    method, path = route.split()
    return method, path.replace(":path", "").replace("{", "").replace("}", "")


async def test_every_route_is_in_the_table(checkpoint: Path) -> None:
    app = build_app(models(checkpoint), NoCluster())
    assert isinstance(app, AuthenticationMiddleware) and isinstance(app._app, Router)
    found = {
        f"{method} {route.path}"
        for route in app._app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert found == ROUTES.keys()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("route", [*ROUTES, "GET /nothing", "OPTIONS /v1/chat/completions"])
async def test_no_page_is_told_anything(
    client: httpx.AsyncClient, route: str, headers: dict[str, str]
) -> None:
    """Whatever the path, and whether it is there; nor is it asked for JSON first."""
    method, path = parts(route)
    preflight = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
    reply = await client.request(method, path, headers={**headers, **preflight})

    assert reply.status_code == 403
    assert [*headers][0] in reply.text and "without keys" in reply.text
    assert "x-request-id" in reply.headers
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("route", ROUTES)
async def test_who_sits_at_the_machine_is_let_in(client: httpx.AsyncClient, route: str) -> None:
    """And so is the page that is named. There is no worker here: that is said."""
    method, path = parts(route)
    for headers in ({}, {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}):
        async with client.stream(method, path, json={}, headers=headers) as reply:
            assert reply.status_code not in (403, 405, 415)
            assert reply.headers.get("access-control-allow-origin") == headers.get("Origin")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("route", CHANGING)
async def test_what_changes_the_cluster_wants_json(
    client: httpx.AsyncClient, route: str, kind: str
) -> None:
    """A page can send anything else without asking whether it may."""
    method, path = parts(route)
    body = b"" if not kind else b"{}"
    reply = await client.request(method, path, content=body, headers={"Content-Type": kind})

    assert (reply.status_code, reply.json()["error"]["param"]) == (415, "Content-Type")


@pytest.mark.parametrize("route", CHANGING)
async def test_nor_is_nothing_json(client: httpx.AsyncClient, route: str) -> None:
    method, path = parts(route)
    reply = await client.request(method, path, headers={"Content-Type": "application/json"})

    assert reply.status_code == 400


async def test_the_guard_is_as_the_configuration_says() -> None:
    """What is listened on, the further names, and the pages that may ask."""
    given = {"host": "10.0.0.5", "allowed_hosts": ("chat.lan",), "cors_origins": (PAGE,)}
    config = RouterConfig("tiny", "", "", **given)  # type: ignore[arg-type]
    guard = guard_of(config, Models([config]).authenticator)
    for host in ("10.0.0.5:8000", "chat.lan"):
        asked = {"host": [host], "origin": [PAGE]}
        guard.check(lambda name, asked=asked: asked.get(name, []), "1.1")  # type: ignore[misc]

    assert not guard.accepts_host("10.0.0.6")


async def test_with_keys_it_is_the_key_that_counts(checkpoint: Path) -> None:
    """No page has one. So a proxy in front may call us what it likes."""
    keys = (Key("root", hash_of(ADMIN), admin=True),)
    async with (
        running_http(models(checkpoint, keys=keys)) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        foreign = {"Host": "llm.example", "Origin": "https://evil.example"}
        shown = {**foreign, "Authorization": f"Bearer {ADMIN}"}
        drains = [await client.post("/cluster/drain/w", headers=one) for one in (foreign, shown)]
        health = await client.get("/health/live", headers=foreign)

    assert [reply.status_code for reply in drains] == [401, 404]
    assert health.status_code == 200
