"""The reference of the API cannot rot: what can be asked and what is told is on the page."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from starlette.routing import Route, Router

from raylax.proto.anthropic import messages as a
from raylax.proto.anthropic.messages import CountTokensRequest, MessagesRequest
from raylax.proto.client.errors import kinds
from raylax.proto.errors import RaylaxError
from raylax.proto.openai import chat, prompting, structure
from raylax.proto.openai import tools as chat_tools
from raylax.proto.openai.batches.batch import BatchRequest, ExpiresAfter
from raylax.proto.openai.body import StrictModel
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.field_rules import FieldTable, Refused
from raylax.proto.openai.responses import choice, items, request, tools
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.scores import ClassifyRequest, RerankRequest, ScoreRequest
from raylax.proto.openai.shared import DebugConfig, StreamOptions
from raylax.proto.openai.tokenize import DetokenizeRequest, TokenizeRequest
from raylax.proto.pb import raylax_pb2, vllm_engine_pb2
from raylax.router.access.authentication import PRIORITY, TIMEOUT
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.grpc.vllm_engine.fields import NOT_READ
from raylax.router.http.app import build_app
from raylax.router.http.authentication import EXPOSED_HEADERS, AuthenticationMiddleware
from raylax.router.http.endpoints.cluster import NoCluster
from raylax.router.http.endpoints.streams import LAST_EVENT_ID
from raylax.router.http.explanation import EXPLAIN, EXPLANATION
from raylax.router.http.handler import SESSION
from raylax.router.http.resuming import RESUME
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
REQUESTS: list[type[StrictModel]] = [
    ChatCompletionRequest, CompletionRequest, ResponsesRequest, MessagesRequest, CountTokensRequest,
    EmbeddingRequest, ScoreRequest, RerankRequest, ClassifyRequest,
    TokenizeRequest, DetokenizeRequest, BatchRequest,
]  # fmt: skip
TEXT_BODIES = REQUESTS[:5]
WHERE: dict[type[StrictModel], str] = {
    StreamOptions: "`stream_options`",
    DebugConfig: "`debug_config`",
    structure.TextFormat: "any text",
    structure.JsonObjectFormat: "any object",
    structure.JsonSchemaFormat: "a schema, in `response_format`",
    structure.NamedSchema: "`json_schema` of `response_format`",
    structure.FlatSchemaFormat: "a schema, in `text.format`",
    structure.StructuralTagFormat: "structural tags",
    structure.Structure: "`structures`",
    structure.StructuredOutputs: "`structured_outputs`",
    a.JsonFormat: "`output_config.format`",
    chat.Message: "messages of chat",
    chat.TextPart: "text parts of chat",
    chat.RefusalPart: "refusals of chat",
    chat.AssistantToolCall: "tool calls of chat",
    chat.FunctionCall: "functions of tool calls of chat",
    chat_tools.Tool: "tools of chat",
    chat_tools.Function: "functions of chat",
    chat_tools.FunctionChoice: "a function of `tool_choice`",
    chat_tools.NamedFunction: "the function of `tool_choice`",
    chat_tools.AllowedTools: "allowed tools",
    chat_tools.Allowed: "`allowed_tools`",
    choice.FunctionChoice: "a function of `tool_choice`, of responses",
    choice.AllowedTools: "allowed tools, of responses",
    items.InputMessage: "messages of responses",
    items.Text: "texts of responses",
    items.Refusal: "refusals of responses",
    items.FunctionCall: "calls of responses",
    items.FunctionCallOutput: "outputs of responses",
    items.CustomToolCall: "custom calls of responses",
    items.LocalShellCall: "shell calls of responses",
    items.ShellAction: "`action` of shell calls",
    items.LocalShellCallOutput: "shell outputs of responses",
    items.ItemReference: "references of responses",
    tools.FunctionTool: "tools of responses",
    tools.CustomTool: "custom tools of responses",
    tools.AnyTextFormat: "any text, in `format` of custom tools",
    tools.GrammarFormat: "`format` of custom tools",
    tools.NamespaceTool: "namespaces of responses",
    items.ReasoningItem: "reasoning of responses",
    items.ReasoningText: "texts of reasoning of responses",
    request.TextConfig: "`text`",
    prompting.Reasoning: "`reasoning`",
    a.InputMessage: "messages of messages",
    a.Text: "texts of messages",
    a.ToolUse: "calls of messages",
    a.ThinkingBlock: "thinking of messages",
    a.RedactedThinking: "redacted thinking of messages",
    a.ToolResult: "results of messages",
    a.Tool: "tools of messages",
    a.ToolChoice: "`tool_choice` of messages",
    prompting.Thinking: "`thinking`",
    a.OutputConfig: "`output_config`",
    ExpiresAfter: "`expires_after`, `output_expires_after`",
}
"""What the page calls the objects inside of bodies."""
RULED: dict[str, list[type[StrictModel]]] = {
    "any body": REQUESTS,
    "chat": [ChatCompletionRequest],
    "completions": [CompletionRequest],
    "responses": [ResponsesRequest],
    "messages": [MessagesRequest, CountTokensRequest],
    "count_tokens": [CountTokensRequest],
    "embeddings": [EmbeddingRequest],
    "scores": [ScoreRequest],
    "rankings": [RerankRequest],
    "labels": [ClassifyRequest],
    "items of responses": [
        items.InputMessage, items.Text, items.Refusal,
        items.FunctionCall, items.FunctionCallOutput,
        items.CustomToolCall, items.LocalShellCall,
        items.ReasoningItem, items.ReasoningText,
    ],
    "blocks of messages": [
        a.Text, a.ToolUse, a.ToolResult, a.ThinkingBlock, a.RedactedThinking,
    ],
    **{WHERE[one]: [one] for one in WHERE if one.not_here},
}  # fmt: skip
"""What the page calls all that has a rule for a field. A rule of "any body" is that of every body
that asks for text; others may have it."""
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
        if method != "HEAD"
    }

    assert len(asked) > 15
    assert [one for one in asked if not re.search(one, PAGE)] == []


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: str(one.__name__))
def test_every_field_of_a_request_is_on_the_page(request_: type[BaseModel]) -> None:
    assert [name for name in request_.model_fields if not written(name)] == []


@pytest.mark.parametrize("error", [*kinds()], ids=lambda one: str(one.__name__))
def test_every_error_is_on_the_page(error: type[RaylaxError]) -> None:
    """Its statuses, its type and its code in one row."""
    row = rf"\| {error.http_status} \| {error.grpc_status} \| `{error.kind}` \| .*"
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


def models_in(kind: Any) -> Iterator[type[StrictModel]]:
    """The models that a type is made of, and those inside of them."""
    if isinstance(kind, type) and issubclass(kind, StrictModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models_in(field.annotation)
    for argument in get_args(kind):
        yield from models_in(argument)


NESTED = [one for one in dict.fromkeys(chain(*map(models_in, REQUESTS))) if one not in REQUESTS]


def rows_below(heading: str) -> list[list[str]]:
    """The cells of the tables below a heading."""
    section = re.split(r"^#+ ", PAGE.split(f"# {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [re.split(r" ?\| ?", line.strip("| \n")) for line in lines]
    return [row for row in cells if row[0] not in ("in", "fields")]


def coded(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_object_of_a_request_is_on_the_page_with_its_fields() -> None:
    """And no field that it has not."""
    told = {where: set(coded(fields)) for where, fields, *_ in rows_below("Inside of objects")}

    assert told == {WHERE[one]: set(one.names) for one in NESTED if one.names}


def rules_of(model: type[StrictModel]) -> Iterator[tuple[str, str, str]]:
    return rules_in(model.not_here)


def rules_in(table: FieldTable) -> Iterator[tuple[str, str, str]]:
    """Each field of a table: its name, the values that ask for nothing, and the reason."""
    for name, rule in table.items():
        but = rule.but if isinstance(rule, Refused) else ("any",)
        values = " or ".join("any" if one == "any" else f"`{json.dumps(one)}`" for one in but)
        yield name, values, rule.why


def rules_told() -> Iterator[tuple[str, str, str, str]]:
    """The same, as the page has it, with where it holds."""
    for names, where, why in rows_below("What is ignored"):
        yield from ((one, name, "any", why) for one in where.split(", ") for name in coded(names))
    for names, values, where, why in rows_below("What is refused"):
        yield from ((one, name, values, why) for one in where.split(", ") for name in coded(names))


@pytest.mark.parametrize("model", [*REQUESTS, *NESTED], ids=lambda one: str(one.__qualname__))
def test_what_is_ignored_or_refused_is_on_the_page(model: type[StrictModel]) -> None:
    """Where it holds, with the values that are accepted, and the reason, which is the error's."""
    told = {tuple(rule) for where, *rule in rules_told() if model in RULED[where]}

    assert set(rules_of(model)) - told == set()


@pytest.mark.parametrize("where", sorted(RULED))
def test_what_the_page_says_of_it_is_so(where: str) -> None:
    """In every model that is meant, unless that has another rule for the field, or the field."""
    told = {tuple(rule) for one, *rule in rules_told() if one == where}
    if where == "any body":
        wrong = [
            (model.__qualname__, rule)
            for model in TEXT_BODIES
            for rule in told - set(rules_of(model))
            if rule[0] not in model.known_fields()
        ]
    else:
        wrong = [
            (one.__qualname__, rule) for one in RULED[where] for rule in told - {*rules_of(one)}
        ]

    assert wrong == []


PROMPTS, ANY, THOUGHTS = "How messages become a prompt", "Text, in any API", "Thoughts"
PAIRS = "Pairs of texts"
TABLES: dict[type[StrictModel], tuple[str, ...]] = {
    ChatCompletionRequest: (ANY, "Chat completions", PROMPTS, THOUGHTS),
    CompletionRequest: (ANY, "Chat completions", "Completions"),
    ResponsesRequest: (ANY, PROMPTS, THOUGHTS, "Responses"),
    MessagesRequest: (ANY, PROMPTS, THOUGHTS, "Messages"),
    EmbeddingRequest: ("Embeddings",),
    ScoreRequest: (PAIRS, "Scores"),
    RerankRequest: (PAIRS, "Rankings"),
    ClassifyRequest: (PROMPTS, "Labels"),
    TokenizeRequest: (PROMPTS, "Tokenize and detokenize"),
    BatchRequest: ("Batches",),
}
"""Below which headings the fields of a body are."""
TOP_OF: dict[str, set[str]] = {
    heading: {name.split(".")[0] for row in rows_below(heading) for name in coded(row[0])}
    for heading in dict.fromkeys(chain(*TABLES.values()))
}


@pytest.mark.parametrize("model", TABLES, ids=lambda one: str(one.__name__))
def test_the_tables_of_a_body_have_its_fields(model: type[StrictModel]) -> None:
    """Each, and none besides; what is for chat alone is said there."""
    told = set(chain(*(TOP_OF[heading] for heading in TABLES[model])))
    others = ChatCompletionRequest.model_fields if model is CompletionRequest else ()
    shared = {"model"} if model is TokenizeRequest else set[str]()  # in the text below its table

    assert set(model.model_fields) - told == shared
    assert told - model.model_fields.keys() - set(others) == set()


def test_what_becomes_of_a_gateways_fields_is_on_the_page() -> None:
    """And nothing that is not so."""
    rows = [row for row in rows_below("The engine protocol of gateways") if len(row) == 4]
    told = {
        (kind, name, values, why)
        for names, values, of, why in rows
        for kind in coded(of)
        for name in coded(names)
    }

    assert told == {
        (kind.DESCRIPTOR.name, *rule) for kind in NOT_READ for rule in rules_in(NOT_READ[kind])
    }


def test_the_page_names_nothing_else() -> None:
    assert {where for where, *_ in rules_told()} <= RULED.keys()
