"""/v1/files. https://platform.openai.com/docs/api-reference/files"""

from typing import ClassVar, Literal

from raylax.proto.openai.shared import ResponseModel

FOR_BATCHES: Literal["batch"] = "batch"
SHORTEST_KEPT_S, LONGEST_KEPT_S = 3600, 30 * 24 * 3600
"""How long a client may have a file kept."""


class FileObject(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"expires_at", "status_details"})
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"] = "processed"
    status_details: str | None = None


class FileList(ResponseModel):
    shown_as_null: ClassVar[frozenset[str]] = frozenset({"first_id", "last_id"})
    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(ResponseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
