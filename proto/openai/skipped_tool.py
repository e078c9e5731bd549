"""Tools that a model is not told of: their services would run them, and nobody does here."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from raylax.proto.errors import shown
from raylax.proto.openai.field_rules import STRICT
from raylax.proto.warnings import warn

KNOWN = frozenset({
    # OpenAI
    "apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search",
    "image_generation", "local_shell", "mcp", "programmatic_tool_calling", "shell", "tool_search",
    "web_search", "web_search_preview",
    # Anthropic
    "advisor", "bash", "browser_toolset", "code_execution", "computer_toolset", "mcp_toolset",
    "memory", "text_editor", "tool_search_tool_bm25", "tool_search_tool_regex", "web_fetch",
})  # fmt: skip
"""Their types, without the dates of versions."""
DATE = re.compile(r"_(\d{8}|\d{4}_\d{2}_\d{2})$")


class SkippedTool(BaseModel):
    """A tool of another type than a function of the client's. The client is warned; where nobody
    knows the type, and fields that nobody knows are mistakes, it is one."""

    model_config = ConfigDict(extra="allow")
    type: str

    @model_validator(mode="before")
    @classmethod
    def _say_so(cls, given: Any, info: ValidationInfo) -> Any:
        kind = given.get("type") if isinstance(given, dict) else None
        if isinstance(kind, str):
            known = DATE.sub("", kind) in KNOWN
            if not known and (info.context or {}).get(STRICT):
                raise ValueError(f"type: {shown(kind)} is no tool that anybody knows")
            why = "cannot be run here" if known else "is no tool that anybody knows"
            warn(f"tools: {kind[:64]} {why}; the model is not told of it")
        return given
