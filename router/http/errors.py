"""Every failure as OpenAI's error body, whoever raised it."""

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from raylax.proto.errors import EngineFailure, RaylaxError
from raylax.router.http.body import ClientLeft

log = logging.getLogger(__name__)


def response_to(error: RaylaxError) -> JSONResponse:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return JSONResponse(error.body(), error.http_status, headers)


async def on_raylax_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RaylaxError)
    return response_to(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """No such path, no such method: the framework's own errors."""
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    message = f"{request.method} {request.url.path}: {error.detail}"
    body = {"message": message, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": body}, error.status_code, error.headers)


async def on_client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def on_anything_else(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response_to(EngineFailure("the router failed; its log says why"))


def install(app: FastAPI) -> None:
    app.add_exception_handler(RaylaxError, on_raylax_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientLeft, on_client_left)
    app.add_exception_handler(Exception, on_anything_else)
