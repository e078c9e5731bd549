"""/openapi.json and /docs describe what is there."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from raylax.proto.client.errors import kinds
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.app import build_app
from raylax.router.http.endpoints.cluster import NoCluster
from tests.router.test_api_reference import NESTED, REQUESTS

CLUSTER = Models([RouterConfig("tiny", "nowhere", "token", enable_debug=True)])


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    document: dict[str, Any] = asked("/openapi.json").json()
    return document


def asked(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=build_app(CLUSTER, NoCluster()))

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get(path)).raise_for_status()

    return asyncio.run(answer())


def test_it_is_a_document_of_openapi(told: dict[str, Any]) -> None:
    validate(told)


@pytest.mark.parametrize("model", [*REQUESTS, *NESTED], ids=lambda one: str(one.__qualname__))
def test_every_field_that_is_taken_is_told(told: dict[str, Any], model: Any) -> None:
    schemas = told["components"]["schemas"]
    name = model.__name__
    found = [one for key, one in schemas.items() if key == name or key.endswith(f"__{name}")]

    assert any(set(one.get("properties", ())) == set(model.names) for one in found)


def test_every_path_says_what_it_takes_and_gives(told: dict[str, Any]) -> None:
    chat = told["paths"]["/v1/chat/completions"]["post"]
    refs = set(re.findall(r"schemas/(\w+)", str(chat)))
    taken = [path for path in told["paths"].values() if "requestBody" in path.get("post", {})]

    assert refs == {"ChatCompletion", "ChatCompletionChunk", "ChatCompletionRequest"}
    assert {str(one.http_status) for one in kinds()} | {"200"} == set(chat["responses"])
    assert len(taken) > len(REQUESTS)
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"):
        content = told["paths"][path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/event-stream"}
    assert told["paths"]["/v1/models/{name}"]["get"]["parameters"][0]["name"] == "name"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_model_of_a_body_is_the_one_that_validates_it(client: httpx.AsyncClient) -> None:
    """An empty body lacks what the model says must be there."""
    told, looked_at = (await client.get("/openapi.json")).json(), 0
    for path, methods in told["paths"].items():
        if path == "/v1/batches":
            continue  # this cluster keeps no files
        taken = methods.get("post", {}).get("requestBody")
        name = taken and taken["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        if needed := told["components"]["schemas"].get(name, {}).get("required"):
            error = (await client.post(path, json={})).json()["error"]
            assert error["message"].partition(":")[0] in needed
            looked_at += 1

    assert looked_at > 8


def test_who_may_ask(told: dict[str, Any]) -> None:
    paths = told["paths"]

    assert paths["/health"]["get"]["security"] == paths["/docs"]["get"]["security"] == []
    assert paths["/v1/models"]["get"]["security"] == [{"key": []}]
    assert "admin" in paths["/cluster"]["get"]["description"]


def test_the_page_shows_it_all_and_asks_nobody(told: dict[str, Any]) -> None:
    answer = asked("/docs")
    page = answer.text
    schemas = told["components"]["schemas"].values()
    fields = {name for one in schemas for name in one.get("properties", ())}

    assert all(f"<code>{path}</code>" in page for path in told["paths"])
    assert all(f"<code>{field}</code>" in page for field in fields)
    assert re.findall(r'(?:src|href)="([^#"]*)"', page) == ["/openapi.json"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert len(page) < 200_000
