"""Which format of tool calls a model was trained on, by what its chat template shows of it."""

from collections.abc import Iterable
from typing import NamedTuple


class Signs(NamedTuple):
    """What a template has, all of it, and what it has not, if its model writes in a format."""

    format: str
    shown: tuple[str, ...]
    missing: str = "\0"


SIGNS = (
    Signs("harmony", ("<|channel|>", "<|message|>")),
    Signs("qwen3_coder", ("<function=", "<parameter=")),
    Signs("glm45", ("<arg_key>",)),
    Signs("mistral_named", ("[TOOL_CALLS]", "[ARGS]")),
    Signs("mistral", ("[TOOL_CALLS]",)),
    Signs("deepseek_v3", ("<｜tool▁sep｜>", "```json")),
    Signs("deepseek_v31", ("<｜tool▁sep｜>",)),
    Signs("granite", ("<|start_of_role|>",), missing="</tool_call>"),
    Signs("phi4_mini_json", ("<|tool|>", "<|/tool|>")),
    Signs("phi4_mini_json", ("functools[",)),
    Signs("llama4_pythonic", ("<|header_start|>",)),
    Signs("llama4_pythonic", ("[func_name1(",)),
    Signs("llama3_json", ("<|python_tag|>",)),
    Signs("llama3_json", ("<|start_header_id|>", '"parameters": dictionary')),
    Signs("hermes", ("<tool_call>",)),
    Signs("glm4", ("[gMASK]", "<|observation|>")),
)
"""The first that fits: later ones are less sure."""


def format_shown(templates: Iterable[str]) -> str | None:
    """The format that one of the templates shows; None if none of them shows any."""
    sources = list(templates)
    return next((one.format for one in SIGNS if any(fits(one, text) for text in sources)), None)


def fits(signs: Signs, template: str) -> bool:
    return all(sign in template for sign in signs.shown) and signs.missing not in template
