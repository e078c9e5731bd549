"""OpenAI's /v1/batches."""

from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.openai.batches.batch import BatchCancel, BatchList, BatchRequest
from raylax.proto.openai.body import parse_body
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.files.disk import aside
from raylax.router.files.listing import page_of
from raylax.router.files.records import batch_at, begin_batch, cancel_batch, find_batch
from raylax.router.http.batches.paging import page_in
from raylax.router.http.batches.tenants import Tenants
from raylax.router.http.body import body_of
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes, Said

MOST_LISTED, LISTED = 100, 20


def add_batches(routes: Routes, models: Models) -> None:
    config, tenants = models.config, Tenants(models.config)

    async def create(request: Request) -> ASGIApp:
        tenant = tenants.storage
        async with body_of(request, models) as raw:
            asked = parse_body(BatchRequest, raw, config.strict_fields)
        beginning = partial(begin_batch, tenant, caller().tenant, asked, config.limits.files_ttl_s)
        return json_response((await aside(beginning)).batch)

    async def listed(request: Request) -> ASGIApp:
        asked = page_in(request, "batch", MOST_LISTED, LISTED)
        page = await aside(partial(page_of, tenants.storage.batches, "batch", batch_at, *asked))
        first, last = (page.data[at].id if page.data else None for at in (0, -1))
        return json_response(
            BatchList(data=page.data, first_id=first, last_id=last, has_more=page.has_more)
        )

    async def one(request: Request) -> ASGIApp:
        id = request.path_params["id"]
        return json_response(await aside(partial(find_batch, tenants.storage, id)))

    async def cancel(request: Request) -> ASGIApp:
        tenant, id = tenants.storage, request.path_params["id"]
        async with body_of(request, models) as raw:
            if raw:
                parse_body(BatchCancel, raw)
        return json_response(await aside(partial(cancel_batch, tenant, id)))

    async def batches(request: Request) -> ASGIApp:
        return await (create if request.method == "POST" else listed)(request)

    routes.add("/v1/batches", batches, "GET", "POST", said=Said(takes=BatchRequest))
    routes.get("/v1/batches/{id}", one)
    routes.post("/v1/batches/{id}/cancel", cancel)
