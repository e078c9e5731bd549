"""Checkpoints whose templates and tokenizers do what no good one does."""

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, pre_tokenizers

from tests.support.checkpoints import write_checkpoint

ENDLESS, GREEDY = "loop", "allocate"
BACKTRACKS, BACKTRACKS_LONG = "a" * 40, ("a" * 22 + "b") * 2000
"""What a message must be for a trap to shut; any other one is answered. Of the patterns, which look
for an end that does not come, the library ends the first one itself."""
TRAPS = (
    "{% set many = range(100000) | list %}"
    "{% if messages[-1].content == 'loop' %}"
    "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}{% endif %}"
    "{% if messages[-1].content == 'allocate' %}"
    "{{ many | join('x' * 8000000) | length }}{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)
PATTERN = "(a+)+!"


def write_trapped(path: Path, template: str = TRAPS, pattern: str | None = None) -> Path:
    """A tiny checkpoint with such a template, and a tokenizer that splits by such a pattern."""
    write_checkpoint(path)
    settings: dict[str, Any] = {"chat_template": template}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    if pattern is not None:
        file = str(path / "tokenizer.json")
        made = tokenizers.Tokenizer.from_file(file)
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence([split, made.pre_tokenizer])
        made.save(file)
    return path
