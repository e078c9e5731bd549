"""Below /v1/responses/ID: a response that is kept, what it answers, and its end."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.errors import InvalidRequest, NotFound, shown
from raylax.proto.openai.responses.kept import KeptResponse, page_of, quoted
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes

PATH = "/v1/responses/{id}"
MOST_LISTED = 100


def add_kept_responses(routes: Routes, models: Models) -> None:
    async def found(request: Request) -> KeptResponse:
        id = request.path_params["id"]
        kept = await models.kept_responses([id], caller().tenant)
        if id not in kept:
            raise not_found(id, models)
        return kept[id]

    async def retrieve(request: Request) -> ASGIApp:
        for name in ("stream", "starting_after"):
            if request.query_params.get(name, "false") != "false":
                raise InvalidRequest(
                    f"{name}: the events of a response are not kept with it; ask for it with the "
                    "header X-Raylax-Resume, and come back by GET /v1/streams/ID",
                    param=name,
                )
        return Response((await found(request)).response, media_type="application/json")

    async def retrieve_or_forget(request: Request) -> ASGIApp:
        return await (forget if request.method == "DELETE" else retrieve)(request)

    async def forget(request: Request) -> ASGIApp:
        id = request.path_params["id"]
        if not await models.forget_response(id, caller().tenant):
            raise not_found(id, models)
        return json_response({"id": id, "object": "response", "deleted": True})

    async def input_items(request: Request) -> ASGIApp:
        asked = request.query_params
        limit, order = limit_of(asked.get("limit", "20")), asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest(f"order: must be asc or desc, found {shown(order)}", param="order")
        items = (await found(request)).asked
        return json_response(page_of(items, asked.get("after"), limit, order == "desc"))

    async def cancel(request: Request) -> ASGIApp:
        await found(request)
        raise InvalidRequest(
            "Cannot cancel a synchronous response: it has ended; one that runs is cancelled when "
            "its client leaves"
        )

    routes.add(PATH, retrieve_or_forget, "GET", "DELETE")
    routes.get(f"{PATH}/input_items", input_items)
    routes.post(f"{PATH}/cancel", cancel)


def not_found(id: str, models: Models) -> NotFound:
    why = models.state.kept_responses.unless_kept
    return NotFound(f"Response with id {quoted(id)} not found: {why}", param="id")


def limit_of(given: str) -> int:
    """How many items a page may have. Raises InvalidRequest."""
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:4]) <= MOST_LISTED):
        raise InvalidRequest(
            f"limit: must be 1 to {MOST_LISTED}, found {shown(given)}", param="limit"
        )
    return int(given)
