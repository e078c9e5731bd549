"""What a client says of the page that it wants, in the query of a path."""

from typing import NamedTuple

from starlette.requests import Request

from raylax.proto.errors import InvalidRequest, shown
from raylax.router.files.names import Kind, is_name


class PageAsked(NamedTuple):
    after: str
    limit: int
    newest_first: bool


def page_in(request: Request, kind: Kind, most: int, default: int) -> PageAsked:
    """Raises InvalidRequest."""
    asked = request.query_params
    after, limit, order = asked.get("after", ""), asked.get("limit", ""), asked.get("order", "desc")
    if after and not is_name(kind, after):
        found = shown(after)
        raise InvalidRequest(f"after: must be the id of a {kind}, found {found}", param="after")
    if limit and not (limit.isascii() and limit.isdecimal() and len(limit) < 9):
        limit = "0"
    count = int(limit or default)
    if not 1 <= count <= most:
        found = shown(asked.get("limit"))
        raise InvalidRequest(f"limit: must be from 1 to {most}, found {found}", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest(f"order: must be asc or desc, found {shown(order)}", param="order")
    return PageAsked(after, count, order == "desc")
