"""The reference of the API cannot rot: what can be asked and what is told is on the page."""

import re

import pytest
from pydantic import BaseModel
from starlette.routing import Route, Router

from raylax.proto.anthropic.messages import MessagesRequest
from raylax.proto.client.errors import kinds
from raylax.proto.errors import RaylaxError
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.responses import ResponsesRequest
from raylax.proto.openai.shared import StrictModel
from raylax.proto.openai.tokenize import DetokenizeRequest, TokenizeRequest
from raylax.proto.pb import raylax_pb2, vllm_engine_pb2
from raylax.router.access.authentication import PRIORITY, TIMEOUT
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.app import build_app
from raylax.router.http.authentication import EXPOSED_HEADERS, AuthenticationMiddleware
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.http.endpoints.streams import LAST_EVENT_ID
from raylax.router.http.handler import EXPLAIN, EXPLANATION, SESSION
from raylax.router.http.resuming import RESUME
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
REQUESTS: list[type[StrictModel]] = [
    ChatCompletionRequest, CompletionRequest, ResponsesRequest, MessagesRequest, EmbeddingRequest,
    TokenizeRequest, DetokenizeRequest,
]  # fmt: skip
OF_TOKENS = "the same with `-tokens`"


def written(name: str) -> bool:
    """As code."""
    return re.search(rf"`[^`\n]*(?<![\w/]){re.escape(name)}(?!\w)[^`\n]*`", PAGE) is not None


async def test_every_endpoint_is_on_the_page() -> None:
    """With its method; parts of a path that are a client's stand there in capital letters."""
    models = Models([RouterConfig("tiny", "nowhere", "token", enable_debug=True)])
    app = build_app(models, NoCluster())
    assert isinstance(app, AuthenticationMiddleware) and isinstance(app._app, Router)
    routes = [route for route in app._app.routes if isinstance(route, Route)]
    asked = {
        rf"`{method} {re.sub('{[^}]*}', '[A-Z-]+', route.path)}`"
        for route in routes
        for method in route.methods or ()
        if method != "HEAD" and route.path != "/v1/responses/{id:path}"  # an error, by any method
    }

    assert len(asked) > 15
    assert [one for one in asked if not re.search(one, PAGE)] == []


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: str(one.__name__))
def test_every_field_of_a_request_is_on_the_page(request_: type[BaseModel]) -> None:
    assert [name for name in request_.model_fields if not written(name)] == []


@pytest.mark.parametrize("error", [*kinds()], ids=lambda one: str(one.__name__))
def test_every_error_is_on_the_page(error: type[RaylaxError]) -> None:
    """Its statuses, its type and its code in one row."""
    row = rf"\| {error.http_status} \| {error.grpc_status.name} \| `{error.kind}` \| .*"
    rows = re.findall(row, PAGE)

    assert any(f"`{error.code}`" in one or error.code is None for one in rows)


def test_every_header_is_on_the_page() -> None:
    ours = [PRIORITY, TIMEOUT, LAST_EVENT_ID, EXPLAIN, EXPLANATION, SESSION, RESUME]
    names = [name for name in EXPOSED_HEADERS if not name.endswith("-tokens")]

    assert [name for name in (*ours, *names) if not written(name)] == []
    assert OF_TOKENS in PAGE


def test_every_grpc_call_and_its_fields_are_on_the_page() -> None:
    files = (raylax_pb2.DESCRIPTOR, vllm_engine_pb2.DESCRIPTOR)
    services = [service for file in files for service in file.services_by_name.values()]
    calls = [method.name for service in services for method in service.methods]
    messages = raylax_pb2.DESCRIPTOR.message_types_by_name
    asked = ("Sampling", "ChatRequest", "GenerateRequest", "EmbedRequest", "ResumeRequest")
    fields = [field.name for name in asked for field in messages[name].fields]

    assert [service.full_name for service in services if not written(service.full_name)] == []
    assert [name for name in (*calls, *fields) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_every_entry_of_its_table_of_contents_leads_to_a_heading() -> None:
    """By the names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: str(one.__name__))
def test_every_field_that_is_ignored_or_refused_is_on_the_page(
    request_: type[StrictModel],
) -> None:
    """With the reason, which is that of the error."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    untold = [
        name
        for name, rule in request_.not_here.items()
        if not any(f"`{name}`" in row and rule.why in row for row in rows)
    ]

    assert untold == []
