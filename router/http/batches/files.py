"""OpenAI's /v1/files: those that batches are made of, and those that they make."""

from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.openai.batches.batch import ExpiresAfter
from raylax.proto.openai.batches.files import FOR_BATCHES, FileDeleted, FileList, FileObject
from raylax.proto.openai.body import validated
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.calls.models import Models
from raylax.router.files.disk import aside
from raylax.router.files.files import Upload, delete_file, file_at, find_file, open_file
from raylax.router.files.listing import page_of
from raylax.router.http.batches.content import FileContent
from raylax.router.http.batches.form import FileForm, boundary_of
from raylax.router.http.batches.paging import page_in
from raylax.router.http.batches.receiving import announced, receive
from raylax.router.http.batches.tenants import Tenants
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes

MOST_LISTED = 10_000


def check_purpose(fields: dict[str, str]) -> None:
    """Raises InvalidRequest."""
    purpose = fields.get("purpose")
    if purpose is None:
        raise InvalidRequest("purpose: Field required", param="purpose")
    if purpose != FOR_BATCHES:
        raise InvalidRequest(
            f"purpose: must be {FOR_BATCHES}, files are of no other use here, found "
            f"{shown(purpose)}",
            param="purpose",
        )


def kept_s(fields: dict[str, str], default_s: float) -> float:
    """How long a file is to be kept. Raises InvalidRequest."""
    anchor, seconds = (fields.get(f"expires_after[{one}]") for one in ("anchor", "seconds"))
    if anchor is None and seconds is None:
        return default_s
    number = int(seconds) if seconds and seconds.isascii() and seconds.isdecimal() else seconds
    try:
        return validated(ExpiresAfter, {"anchor": anchor, "seconds": number}).seconds
    except InvalidRequest as error:
        at = f"expires_after.{error.param}"
        raise InvalidRequest(f"expires_after.{error.message}", param=at) from None


def add_files(routes: Routes, models: Models) -> None:
    limits, tenants, state = models.config.limits, Tenants(models.config), models.state

    async def create(request: Request) -> ASGIApp:
        tenant = tenants.storage
        form = FileForm(boundary_of(request.headers.get("content-type", "")))
        size = announced(request, limits)
        upload = await aside(partial(Upload, tenant, size))
        try:
            async with held_bytes(state.bodies, caller().tenant) as held:
                await receive(request, form, upload, limits, held)
            check_purpose(form.fields)
            for_s = kept_s(form.fields, limits.files_ttl_s)
            record = await aside(partial(upload.keep, form.filename or "", for_s))
        except BaseException:
            await aside(upload.drop)
            raise
        return json_response(record)

    async def listed(request: Request) -> ASGIApp:
        asked = page_in(request, "file", MOST_LISTED, MOST_LISTED)
        purpose = request.query_params.get("purpose")

        def wanted(path: Path) -> FileObject | None:
            found = file_at(path)
            return found if found is None or purpose in (None, found.purpose) else None

        page = await aside(partial(page_of, tenants.storage.files, "file", wanted, *asked))
        first, last = (page.data[at].id if page.data else None for at in (0, -1))
        return json_response(
            FileList(data=page.data, first_id=first, last_id=last, has_more=page.has_more)
        )

    async def one(request: Request) -> ASGIApp:
        id = request.path_params["id"]
        if request.method != "DELETE":
            return json_response(await aside(partial(find_file, tenants.storage, id)))
        await aside(partial(delete_file, tenants.storage, id))
        return json_response(FileDeleted(id=id))

    async def content(request: Request) -> ASGIApp:
        id = request.path_params["id"]
        found, file = await aside(partial(open_file, tenants.storage, id))
        return FileContent(found, file, limits.read_timeout_s)

    async def files(request: Request) -> ASGIApp:
        return await (create if request.method == "POST" else listed)(request)

    routes.add("/v1/files", files, "GET", "POST")
    routes.add("/v1/files/{id}", one, "GET", "DELETE")
    routes.get("/v1/files/{id}/content", content)
