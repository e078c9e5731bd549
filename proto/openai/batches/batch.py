"""/v1/batches, and the lines of their files.

https://platform.openai.com/docs/api-reference/batch
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from raylax.proto.openai.batches.files import LONGEST_KEPT_S, SHORTEST_KEPT_S
from raylax.proto.openai.body import StrictModel
from raylax.proto.openai.field_rules import only
from raylax.proto.openai.shared import ResponseModel

WINDOW_S = 24 * 3600
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
MOST_PAIRS = 16
Endpoint = Annotated[str, only("the others are not here", *ENDPOINTS)]
MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


def few_pairs(given: Any) -> Any:
    if isinstance(given, dict) and len(given) > MOST_PAIRS:
        raise ValueError(f"may have {MOST_PAIRS} pairs, it has {len(given)}")
    return given


class ExpiresAfter(StrictModel):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=SHORTEST_KEPT_S, le=LONGEST_KEPT_S)]


class BatchRequest(StrictModel):
    """A body of POST /v1/batches."""

    input_file_id: Annotated[str, Field(max_length=128)]
    endpoint: Endpoint
    completion_window: Annotated[str, only("no other window is known", "24h")]
    metadata: Annotated[dict[MetadataKey, MetadataValue], BeforeValidator(few_pairs)] | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchCancel(StrictModel):
    """The path says it all."""


class BatchLine(StrictModel):
    """One line of a batch's input."""

    custom_id: Annotated[str, Field(min_length=1, max_length=512)]
    method: Annotated[str, only("a batch asks by no other", "POST")]
    url: str
    body: dict[str, Any]


class BatchError(ResponseModel):
    """What is wrong with a line of the input, or with all of it."""

    shown_as_null: ClassVar[frozenset[str]] = frozenset({"line", "param"})
    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchErrors(ResponseModel):
    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(ResponseModel):
    total: int = 0
    completed: int = 0
    failed: int = 0


Status = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling",
    "cancelled",
]  # fmt: skip
ENDED: frozenset[Status] = frozenset({"failed", "completed", "expired", "cancelled"})


class Batch(ResponseModel):
    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str = "24h"
    status: Status = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts = RequestCounts()
    metadata: dict[str, str] | None = None


Batch.shown_as_null = frozenset(Batch.model_fields)


class BatchList(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"first_id", "last_id"})
    object: Literal["list"] = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool
