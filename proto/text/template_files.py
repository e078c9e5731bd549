"""Where a checkpoint keeps its chat templates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylax.proto.text.chat_template import DEFAULT
from raylax.proto.text.reading import is_there, read_text

TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
OF_PROCESSOR = "chat_template.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


def sources_of(directory: Path, settings: Mapping[str, Any]) -> dict[str, tuple[str, Path]]:
    """Each template's name, with its source and the file that has it. As transformers has it, files
    of templates go before what tokenizer_config.json (`settings`) says, and nothing of that counts
    beside them; a processor's own comes last. Raises OSError, or ValueError with the file.
    """
    files = {DEFAULT: directory / TEMPLATE} if is_there(directory / TEMPLATE) else {}
    files |= {path.stem: path for path in sorted((directory / MORE_TEMPLATES).glob("*.jinja"))}
    if files:
        return {name: (read_text(path), path) for name, path in files.items()}
    config, alone = directory / TOKENIZER_CONFIG, directory / OF_PROCESSOR
    if settings.get("chat_template") is not None:
        return named(settings["chat_template"], config)
    if not is_there(alone):
        return {}
    text = read_text(alone)
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{alone}: not valid JSON: {error}") from None
    return named(given.get("chat_template") if isinstance(given, dict) else given, alone)


def named(given: Any, file: Path) -> dict[str, tuple[str, Path]]:
    """A template, or several of them by their names. Raises ValueError for what is neither."""
    match given:
        case str():
            made = {DEFAULT: given}
        case dict():
            made = given
        case [*several] if all(isinstance(one, dict) for one in several):
            made = {one.get("name"): one.get("template") for one in several}
        case _:
            made = {DEFAULT: given}
    if not all(isinstance(name, str) and isinstance(one, str) for name, one in made.items()):
        raise ValueError(f"{file}: chat_template must be a text, or a list of names and templates")
    return {name: (source, file) for name, source in made.items()}
