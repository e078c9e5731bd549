"""The page of HTTP endpoints, made of the document that a server has at /openapi.json."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx

from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.app import build_app
from raylax.router.http.endpoints.cluster import NoCluster

Document = dict[str, Any]
INTRODUCTION = """# HTTP

What every endpoint takes and gives, as [`openapi.json`](openapi.json) says it, which a server also
has at `/openapi.json` and shows at `/docs`. What it means stands in [the API in words](../api.md).
"""


def document(as_text: bool = False) -> Any:
    """Of a server that has all endpoints."""
    models = Models([RouterConfig("model", "nowhere", "token", enable_debug=True)])
    transport = httpx.ASGITransport(app=build_app(models, NoCluster()))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.get("/openapi.json")).raise_for_status()

    answer = asyncio.run(ask())
    return json.dumps(answer.json(), indent=1) if as_text else answer.json()


def http_page(told: Document) -> str:
    schemas = told["components"]["schemas"]
    parts = [INTRODUCTION]
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            parts.append(f"## {method.upper()} {path}\n\n{operation['description']}\n")
            parts.extend(bodies(operation))
    parts.append("## Objects\n")
    for name in sorted(schemas):
        parts.append(f"### {name}\n")
        parts.append(fields(schemas[name]))
    return "\n".join(parts)


def bodies(operation: Document) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Takes `{kind}`: {type_of(content.get('schema', {}))}.\n"
    for status, answer in sorted(operation["responses"].items()):
        if status == "200":
            for kind, content in answer.get("content", {}).items():
                yield f"Gives `{kind}`: {type_of(content.get('schema', {}))}.\n"
    refused = sorted(status for status in operation["responses"] if status != "200")
    if refused:
        yield f"Or an error: {', '.join(f'`{status}`' for status in refused)}.\n"


def fields(schema: Document) -> str:
    """An object's as a table, of anything else its type."""
    said = cell(schema.get("description", ""))
    if "properties" not in schema:
        return f"{said}\n\n{type_of(schema)}\n"
    needed = schema.get("required", ())
    lines = [said, "", "| field | type | default | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        default = "needed" if name in needed else code(field.get("default"))
        cells = [f"`{name}`", type_of(field), default, cell(field.get("description", ""))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def type_of(schema: Document) -> str:
    """In words, with a link to each object."""
    if ref := schema.get("$ref"):
        name = ref.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(type_of(one) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(code(one) for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    return str(schema.get("type", "anything"))


def code(value: Any) -> str:
    return "" if value is None else f"`{json.dumps(value)}`".replace("|", "\\|")


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
