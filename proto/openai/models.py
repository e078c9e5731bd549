"""GET /v1/models."""

from typing import Literal

from raylax.proto.openai.shared import ResponseModel


class ModelCard(ResponseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "MLC-LLM"
    """What clients of MLC-LLM look for; to others it says nothing."""
    max_model_len: int
    root: str
    """The model's own name, where this one is an alias."""


class ModelList(ResponseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]
