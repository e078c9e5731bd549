"""Every failure, whoever raised it, in the error body of the API that was asked."""

import logging
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from raylax.proto.anthropic.errors import error_body
from raylax.proto.errors import EngineFailure, RaylaxError
from raylax.router.http.body import ClientLeft

log = logging.getLogger(__name__)


MESSAGES = "/v1/messages"
"""The path that all of Anthropic's API is below."""


def body_of(path: str, status: int, openai: dict[str, Any]) -> dict[str, Any]:
    """All paths but Anthropic's speak as OpenAI does."""
    if path == MESSAGES or path.startswith(f"{MESSAGES}/"):
        return error_body(status, openai["error"]["message"])
    return openai


def response_to(request: Request, error: RaylaxError) -> JSONResponse:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    body = body_of(request.url.path, error.http_status, error.body())
    return JSONResponse(body, error.http_status, headers)


async def on_raylax_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RaylaxError)
    return response_to(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """No such path, no such method: the framework's own errors."""
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    message = f"{request.method} {request.url.path}: {error.detail}"
    said = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    body = body_of(request.url.path, error.status_code, said)
    return JSONResponse(body, error.status_code, error.headers)


async def on_client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def on_anything_else(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return response_to(request, EngineFailure("the router failed; its log says why"))


def install(app: FastAPI) -> None:
    app.add_exception_handler(RaylaxError, on_raylax_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientLeft, on_client_left)
    app.add_exception_handler(Exception, on_anything_else)
