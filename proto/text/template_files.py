"""Where a checkpoint keeps its chat templates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylax.proto.text.chat_template import DEFAULT

TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
OF_PROCESSOR = "chat_template.json"


def sources_of(directory: Path, settings: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Each template's name, with its source and the file that has it. As transformers has it, files
    of templates go before what tokenizer_config.json (`settings`) says, and nothing of that counts
    beside them; a processor's own comes last."""
    files = {DEFAULT: directory / TEMPLATE} if (directory / TEMPLATE).is_file() else {}
    files |= {path.stem: path for path in sorted((directory / MORE_TEMPLATES).glob("*.jinja"))}
    if files:
        shown = {name: str(path.relative_to(directory)) for name, path in files.items()}
        return {name: (read(path), shown[name]) for name, path in files.items()}
    if given := named(settings.get("chat_template")):
        return {name: (source, "tokenizer_config.json") for name, source in given.items()}
    if (alone := directory / OF_PROCESSOR).is_file():
        given = named(json.loads(read(alone)).get("chat_template"))
        return {name: (source, OF_PROCESSOR) for name, source in given.items()}
    return {}


def named(given: Any) -> dict[str, str]:
    """A template, several of them by their names, or none."""
    match given:
        case str():
            return {DEFAULT: given}
        case list():
            return {one["name"]: one["template"] for one in given}
        case dict():
            return dict(given)
    return {}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
