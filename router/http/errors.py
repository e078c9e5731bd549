"""Writes every failure, whoever raised it, as the API that was asked has its errors."""

from math import ceil
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from raylax.proto.anthropic.errors import error_body
from raylax.proto.errors import RaylaxError
from raylax.router.calls.failure import failure_of
from raylax.router.http.disconnect import ClientLeft

MESSAGES = "/v1/messages"
"""All of Anthropic's API is below this path."""
CLIENT_LEFT = 499


def error_response(request: Request, error: Exception) -> Response:
    """The response that tells a client of an error."""
    match error:
        case RaylaxError():
            return raylax_error_response(request, error)
        case HTTPException():
            return routing_error_response(request, error)
        case ClientLeft():
            return Response(status_code=CLIENT_LEFT)
        case _:
            return raylax_error_response(
                request, failure_of(error, f"{request.method} {request.url.path}")
            )


def raylax_error_response(request: Request, error: RaylaxError) -> Response:
    """The response to a call that has failed."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after_s)))
    body = error_body_for(request.url.path, error.http_status, error.body())
    return JSONResponse(body, error.http_status, headers)


def routing_error_response(request: Request, error: HTTPException) -> Response:
    """The response to a path, or a method, that does not exist."""
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    message = f"{request.method} {request.url.path}: {error.detail}"
    said = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    body = error_body_for(request.url.path, error.status_code, said)
    return JSONResponse(body, error.status_code, error.headers)


def error_body_for(path: str, status: int, openai: dict[str, Any]) -> dict[str, Any]:
    """An error body of OpenAI's as the API of this path has it: all but Anthropic's have
    OpenAI's."""
    if path == MESSAGES or path.startswith(f"{MESSAGES}/"):
        return error_body(status, openai["error"]["message"], openai["error"]["param"])
    return openai
