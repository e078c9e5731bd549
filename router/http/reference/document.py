"""The routes of an application as OpenAPI has them (spec.openapis.org/oas/v3.1.0): their bodies and
answers as their models say, their errors, and who may ask."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from raylax.proto.client.errors import kinds
from raylax.proto.errors import InvalidRequest, RaylaxError
from raylax.router.access.authentication import AccessLevel
from raylax.router.http.authentication import level_of
from raylax.router.http.errors import error_body_for
from raylax.router.http.routes import MethodsRoute

REF = "#/components/schemas/{model}"
JSON, EVENTS = "application/json", "text/event-stream"
KEY = "key"
Document = dict[str, Any]
NEEDS = {
    AccessLevel.PUBLIC: "Needs no key.",
    AccessLevel.ANY_KEY: "Needs a key, where the cluster has keys.",
    AccessLevel.ADMIN_KEY: "Needs a key of an admin, where the cluster has keys.",
}
PART = re.compile(r"\{(\w+)(?::\w+)?\}")
"""Of a path, what is a client's."""


def document_of(routes: Iterable[BaseRoute]) -> Document:
    """Of all routes that have a method."""
    ours = [route for route in routes if isinstance(route, MethodsRoute)]
    models = {model for route in ours for model in models_of(route)}
    told = sorted(models, key=lambda model: (model.__module__, model.__name__))
    names, schemas = models_json_schema(
        [(model, "validation") for model in told], ref_template=REF, by_alias=True
    )
    refs = {model: names[model, "validation"] for model in told}
    paths: dict[str, Document] = {}
    for route in ours:
        at = paths.setdefault(PART.sub(r"{\1}", route.path), {})
        for method in sorted((route.methods or set()) - {"HEAD"}):
            at[method.lower()] = operation(route, method, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "raylax", "version": version("raylax")},
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {KEY: {"type": "http", "scheme": "bearer"}},
        },
    }


def models_of(route: MethodsRoute) -> Iterator[type[BaseModel]]:
    said = route.said
    yield from (one for one in (said.takes, said.gives, said.streams) if one is not None)


def operation(route: MethodsRoute, method: str, refs: dict[type[BaseModel], Any]) -> Document:
    """What one method of a path does."""
    said, level = route.said, level_of(route.path)
    words = re.findall(r"\w+", PART.sub(r"\1", route.path))
    made: Document = {
        "operationId": "_".join([method.lower(), *words]),
        "summary": f"{method} {' '.join(words)}",
        "description": NEEDS[level],
        "security": [] if level is AccessLevel.PUBLIC else [{KEY: []}],
        "responses": {**errors_of(route.path), "200": answer(route, refs)},
    }
    if names := PART.findall(route.path):
        made["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if said.takes is not None and method == "POST":
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": refs[said.takes]}}}
    return made


def answer(route: MethodsRoute, refs: dict[type[BaseModel], Any]) -> Document:
    """What comes of it, if nothing goes wrong."""
    content: Document = {}
    if route.said.gives is not None:
        content[JSON] = {"schema": refs[route.said.gives]}
    if route.said.streams is not None:
        content[EVENTS] = {"schema": refs[route.said.streams]}
    return {"description": "The answer", **({"content": content} if content else {})}


def errors_of(path: str) -> dict[str, Document]:
    """By their statuses."""
    found: dict[str, set[str]] = {}
    for error in kinds():
        found.setdefault(str(error.http_status), set()).add(meaning(error))
    content = {JSON: {"schema": shape(error_body_for(path, 400, InvalidRequest("").body()))}}
    return {
        status: {"description": ", ".join(sorted(meant)), "content": content}
        for status, meant in sorted(found.items())
    }


def meaning(error: type[RaylaxError]) -> str:
    """What a client finds in the body."""
    return error.kind if error.code is None else f"{error.kind} ({error.code})"


def shape(value: object) -> Document:
    """The schema of what looks like this; null may be a text."""
    if isinstance(value, dict):
        inner = {name: shape(one) for name, one in value.items()}
        return {"type": "object", "properties": inner, "required": [*inner]}
    return {"type": "string"} if isinstance(value, str) else {"type": ["string", "null"]}
