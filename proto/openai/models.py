"""GET /v1/models."""

from typing import Literal

from raylax.proto.openai.shared import Outgoing


class ModelCard(Outgoing):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "raylax"
    max_model_len: int


class ModelList(Outgoing):
    object: Literal["list"] = "list"
    data: list[ModelCard]
