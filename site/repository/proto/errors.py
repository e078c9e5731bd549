"""What can go wrong with a request, and how each API says so.

* RaylaxError
  - InvalidRequest     the request breaks a rule            400  INVALID_ARGUMENT
    - PromptTooLong    it leaves no room for an answer      400  INVALID_ARGUMENT
    - PreviousResponseNotFound  it is kept no longer      400  INVALID_ARGUMENT
    - ModelNotFound    no model of that name                404  NOT_FOUND
    - NotFound         what it names is not here            404  NOT_FOUND
    - BodyTooSlow      the body did not come in time        408  DEADLINE_EXCEEDED
    - BodyTooLarge     the body exceeds the limit           413  RESOURCE_EXHAUSTED
    - UnsupportedMediaType  the body is not in such a form  415  INVALID_ARGUMENT
  - Unauthenticated    no API key, or one nobody knows      401  UNAUTHENTICATED
  - Forbidden          the key may not do this              403  PERMISSION_DENIED
  - RateLimited        the key has used what it may         429  RESOURCE_EXHAUSTED
  - Overloaded         everything is full, try later        429  RESOURCE_EXHAUSTED
  - EngineFailure      a step failed: our fault             500  INTERNAL
  - RequestFailed      the model has no answer to it       500  INTERNAL
  - WorkerUnavailable  no worker, or it died on the way     503  UNAVAILABLE
  - DeadlineExceeded   it did not end in time               504  DEADLINE_EXCEEDED

A message states the rule, the limit and the value given. Types and codes are OpenAI's where it
has one for the case.
"""

import re
import reprlib
from typing import ClassVar, Literal

from raylax.proto.vocabulary import Fault

FIELD = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
Status = Literal[
    "INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED",
    "PERMISSION_DENIED", "INTERNAL", "UNAVAILABLE",
]  # fmt: skip
"""As gRPC names it. Most who raise an error never speak gRPC, which takes long to import."""
LONGEST = 2000
"""Characters of a message: a template writes its own, of whatever a client has sent."""


def shown(value: object) -> str:
    """A client's value, cut short for a message: it may have megabytes."""
    return reprlib.repr(value)


class RaylaxError(Exception):
    """A request that failed. `param` names the field at fault, if one is."""

    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[Status] = "INTERNAL"
    kind: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    fault: ClassVar[Fault] = Fault.ENGINE
    repeats: ClassVar[bool] = False
    """Whether its message may repeat what the client has sent."""

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."
        self.param = param
        self.retry_after_s = retry_after_s
        self.call_id = ""
        """The call that it has ended; empty: none had begun."""

    @property
    def rule(self) -> str:
        """What may be written down of it, in logs and traces: none of a client's own words, which
        are for the client alone. Where the message may repeat those, the field and the kind."""
        if not self.repeats:
            return self.message
        field = (self.param or "").partition(".")[0]
        kind = self.code or self.kind
        return f"{field}: {kind}" if FIELD.fullmatch(field) else kind

    def body(self) -> dict[str, dict[str, object]]:
        """The error as OpenAI's API words it."""
        error = {"message": self.message, "type": self.kind, "param": self.param}
        return {"error": {**error, "code": self.code}}


class InvalidRequest(RaylaxError):
    http_status = 400
    grpc_status: ClassVar[Status] = "INVALID_ARGUMENT"
    kind = "invalid_request_error"
    repeats = True
    fault = Fault.INVALID


class PromptTooLong(InvalidRequest):
    repeats = False
    code = "context_length_exceeded"


class ModelNotFound(InvalidRequest):
    http_status = 404
    grpc_status = "NOT_FOUND"
    code = "model_not_found"


class NotFound(InvalidRequest):
    http_status = 404
    grpc_status = "NOT_FOUND"
    code = "not_found"


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"


class BodyTooSlow(InvalidRequest):
    repeats = False
    http_status = 408
    grpc_status = "DEADLINE_EXCEEDED"
    code = "request_timeout"


class BodyTooLarge(InvalidRequest):
    repeats = False
    http_status = 413
    grpc_status = "RESOURCE_EXHAUSTED"
    code = "request_too_large"


class UnsupportedMediaType(InvalidRequest):
    http_status = 415
    code = "unsupported_media_type"


class Unauthenticated(RaylaxError):
    http_status = 401
    grpc_status = "UNAUTHENTICATED"
    kind = "invalid_request_error"
    code = "invalid_api_key"


class Forbidden(RaylaxError):
    http_status = 403
    grpc_status = "PERMISSION_DENIED"
    kind = "invalid_request_error"
    code = "insufficient_permissions"


class RateLimited(RaylaxError):
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"
    fault = Fault.OVERLOADED


class Overloaded(RaylaxError):
    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"
    kind = "overloaded_error"
    code = "rate_limit_exceeded"
    fault = Fault.OVERLOADED


class EngineFailure(RaylaxError):
    code = "engine_failure"


class RequestFailed(RaylaxError):
    code = "request_failed"
    fault = Fault.REQUEST


class WorkerUnavailable(RaylaxError):
    http_status = 503
    grpc_status = "UNAVAILABLE"
    code = "service_unavailable"
    fault = Fault.UNAVAILABLE


class DeadlineExceeded(RaylaxError):
    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"
    kind = "timeout_error"
    code = "deadline_exceeded"
    fault = Fault.DEADLINE


def error_of(fault: Fault, message: str) -> RaylaxError:
    """The error by which a client is told that a worker has ended its request with this fault."""
    match fault:
        case Fault.OVERLOADED:
            return Overloaded(message, retry_after_s=1.0)
        case Fault.DEADLINE:
            return DeadlineExceeded(message)
        case Fault.UNAVAILABLE:
            return WorkerUnavailable(message, retry_after_s=1.0)
        case Fault.INVALID:
            return InvalidRequest(message)
        case Fault.REQUEST:
            return RequestFailed(message)
        case Fault.ENGINE:
            return EngineFailure(message)
