"""What can go wrong with a request, and how each API says so.

* RaylaxError
  - InvalidRequest     the request breaks a rule            400  INVALID_ARGUMENT
  - ModelNotFound      no model of that name                404  NOT_FOUND
  - BodyTooLarge       the body exceeds the limit           413  RESOURCE_EXHAUSTED
  - Overloaded         everything is full, try later        429  RESOURCE_EXHAUSTED
  - EngineFailure      a step failed: our fault             500  INTERNAL
  - WorkerUnavailable  no worker, or it died on the way     503  UNAVAILABLE
  - DeadlineExceeded   it did not end in time               504  DEADLINE_EXCEEDED

A message states the rule, the limit and the value given.
"""

from typing import ClassVar

import grpc


class RaylaxError(Exception):
    """A request that failed. `param` names the field at fault, if one is."""

    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    kind: ClassVar[str] = "server_error"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, object]:
        """The error as OpenAI's API words it."""
        error = {"message": self.message, "type": self.kind, "param": self.param}
        return {"error": {**error, "code": self.http_status}}


class InvalidRequest(RaylaxError):
    http_status = 400
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    kind = "invalid_request_error"


class ModelNotFound(InvalidRequest):
    http_status = 404
    grpc_status = grpc.StatusCode.NOT_FOUND


class BodyTooLarge(InvalidRequest):
    http_status = 413
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Overloaded(RaylaxError):
    http_status = 429
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    kind = "overloaded_error"


class EngineFailure(RaylaxError):
    pass


class WorkerUnavailable(RaylaxError):
    http_status = 503
    grpc_status = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(RaylaxError):
    http_status = 504
    grpc_status = grpc.StatusCode.DEADLINE_EXCEEDED
    kind = "timeout_error"
