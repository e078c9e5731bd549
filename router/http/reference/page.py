"""The page at /docs: what the document says, for people. It is all in one file, and asks nobody."""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color-scheme: light dark; }
code, pre { font: 13px ui-monospace, monospace; }
details { border-top: 1px solid #8884; padding: .4rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; }
table { border-collapse: collapse; margin: .5rem 0; }
td { border-top: 1px solid #8882; padding: .15rem .8rem .15rem 0; vertical-align: top; }
"""
HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{HASH}'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
Told = dict[str, Any]


def page_of(document: Told) -> str:
    """HTML."""
    schemas = document["components"]["schemas"]
    paths = "".join(
        operation(path, method, one)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    )
    objects = "".join(schema(name, schemas[name]) for name in sorted(schemas))
    title = f"{document['info']['title']} {document['info']['version']}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>"
        '<p>The same for machines: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<h2>Paths</h2>{paths}<h2>Objects</h2>{objects}</html>"
    )


def operation(path: str, method: str, told: Told) -> str:
    """A path by one method."""
    rows = [("", escape(told["description"]))]
    if (body := told.get("requestBody")) is not None:
        rows.append(("body", contents(body)))
    rows += [
        (status, f"{escape(answer['description'])} {contents(answer)}")
        for status, answer in sorted(told["responses"].items())
    ]
    return folded(f"<b>{method.upper()}</b> <code>{escape(path)}</code>", table(rows))


def contents(told: Told) -> str:
    """What a body is, by its media type."""
    return "; ".join(
        f"<code>{escape(kind)}</code> {kind_of(one['schema'])}"
        for kind, one in told.get("content", {}).items()
        if "$ref" in one["schema"]
    )


def schema(name: str, told: Told) -> str:
    """An object and its fields."""
    rows = [
        (f"<code>{escape(field)}</code>", f"{kind_of(one)} {escape(one.get('description', ''))}")
        for field, one in told.get("properties", {}).items()
    ]
    about = escape(told.get("description", ""))
    inner = table(rows) if rows else kind_of(told)
    return folded(f'<code id="{escape(name)}">{escape(name)}</code>', f"<p>{about}</p>{inner}")


def kind_of(told: Told) -> str:
    """What a schema allows, in a line."""
    if "$ref" in told:
        name = escape(told["$ref"].rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    if (ways := told.get("anyOf") or told.get("oneOf")) is not None:
        return " or ".join(map(kind_of, ways))
    if "items" in told:
        return f"list of {kind_of(told['items'])}"
    return ", ".join(words(told)) or "anything"


def words(told: Told) -> Iterator[str]:
    for name in ("const", "enum", "type", "minimum", "maximum", "maxLength", "default"):
        if name in told:
            value = escape(json.dumps(told[name]).strip('"'))
            yield value if name in ("const", "enum", "type") else f"{name} {value}"


def table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><td>{left}</td><td>{right}</td></tr>" for left, right in rows)
    return f"<table>{''.join(cells)}</table>"


def folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>"
