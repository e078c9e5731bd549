"""How a model marks what it thinks, by what its chat template shows of it."""

from collections.abc import Iterable

from raylax.proto.parsers.reasoning import HARMONY, NONE
from raylax.proto.parsers.tools.choosing import Signs, fits

SIGNS = (
    Signs(HARMONY, ("<|channel|>", "<|message|>")),
    Signs("mistral", ("[THINK]",)),
    Signs("seed", ("<seed:think>",)),
    Signs("granite", ("<|start_of_role|>", "<think>")),
    Signs("granite", ("<|start_of_role|>", "thought process")),
    Signs("deepseek_r1", ("</think>", "<｜Assistant｜>"), missing="<think>"),
    Signs("think", ("</think>",)),
    Signs("think", ("<think>",)),
)
"""The first that fits."""


def reasoning_shown(templates: Iterable[str]) -> str:
    """The format of thoughts that one of the templates shows, or `NONE`."""
    sources = list(templates)
    found = (one.format for one in SIGNS if any(fits(one, text) for text in sources))
    return next(found, NONE)
