"""Errors as Anthropic's API words them. https://docs.claude.com/en/api/errors"""

KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
DETAILS = {"thread": {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}}
"""By the field at fault. Clients that are told this one go on with the whole conversation."""


def error_body(status: int, message: str, param: str | None = None) -> dict[str, object]:
    other = "invalid_request_error" if status < 500 else "api_error"
    error: dict[str, object] = {"type": KINDS.get(status, other), "message": message}
    if param in DETAILS:
        error["details"] = DETAILS[param]
    return {"type": "error", "error": error}
