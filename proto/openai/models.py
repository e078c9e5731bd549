"""GET /v1/models, for clients of OpenAI and of Anthropic: neither minds what the other reads."""

from datetime import datetime
from typing import Literal

from pydantic import computed_field

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
    type: Literal["model"] = "model"
    display_name: str
    created_at: datetime
    lifecycle: Literal["active"] = "active"


class ModelList(ResponseModel):
    """All there are, on one page."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
    has_more: Literal[False] = False

    @computed_field
    def first_id(self) -> str:
        return self.data[0].id

    @computed_field
    def last_id(self) -> str:
        return self.data[-1].id
