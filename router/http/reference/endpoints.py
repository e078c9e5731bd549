"""GET /openapi.json and /docs: what all routes are that were added before."""

from functools import cache

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from raylax.router.http.reference.document import Document, document_of
from raylax.router.http.reference.page import HEADERS, page_of
from raylax.router.http.routes import Routes


def add_reference(routes: Routes) -> None:
    """Made when they are first asked for: it takes a tenth of a second."""

    @cache
    def document() -> Document:
        return document_of(routes.all)

    @cache
    def html() -> str:
        return page_of(document())

    async def described(request: Request) -> ASGIApp:
        return Response(to_json(document()), media_type="application/json")

    async def page(request: Request) -> ASGIApp:
        return HTMLResponse(html(), headers=HEADERS)

    routes.get("/openapi.json", described)
    routes.get("/docs", page)
