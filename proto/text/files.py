"""What a model's files say of text: the one reader of them."""

import json
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from raylax.proto.text.chat_template import ChatTemplate, source_of, special_tokens
from raylax.proto.text.pooling import MODULES, POOLING, unsupported
from raylax.proto.text.tokenizer import Tokenizer

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
CONFIG = "config.json"
GENERATION = "generation_config.json"
ARCHIVED = (
    TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", TEMPLATE, "chat_template.json", CONFIG, GENERATION,
)  # fmt: skip
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can have."""


class TextFiles:
    """A directory with a model's `config.json`, `tokenizer.json` and what may stand beside them, as
    Hugging Face's checkpoints have it. Raises OSError or ValueError for what cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def config(self) -> dict[str, Any]:
        """What config.json says of the model."""
        return dict(self._json(CONFIG))

    @cached_property
    def generation_config(self) -> dict[str, Any]:
        """How the model's authors sample from it; empty if they do not say."""
        return dict(self._json(GENERATION, {}))

    @property
    def end_token_ids(self) -> frozenset[int]:
        """The tokens that end an answer, by both configurations."""
        named = (one.get("eos_token_id") for one in (self.config, self.generation_config))
        return frozenset(id for value in named for id in ids_in(value))

    def tokenizer(self) -> Tokenizer:
        return Tokenizer(self.directory / TOKENIZER)

    def chat_template(self) -> ChatTemplate | None:
        """The default one of tokenizer_config.json, or else chat_template.jinja; None: neither."""
        settings = self._json(TOKENIZER_CONFIG, {})
        source, alone = source_of(settings), self.directory / TEMPLATE
        if source is None and alone.exists():
            source = alone.read_text(encoding="utf-8")
        return None if source is None else ChatTemplate(source, special_tokens(settings))

    def why_no_embeddings(self) -> str | None:
        """What the model's settings for embeddings ask for that raylax does not have, by name."""
        try:
            return unsupported(self._listed(POOLING), self._listed(MODULES))
        except (ValueError, AttributeError) as error:
            return f"{POOLING} or {MODULES} is not valid: {error}"

    def archive(self) -> bytes:
        """A zip of the files, for a gateway that tokenises itself: the same bytes for the same
        files, whenever they were written."""
        out = BytesIO()
        with ZipFile(out, "w") as archive:
            for path in (self.directory / name for name in ARCHIVED):
                if path.is_file():
                    info = ZipInfo(path.name, EPOCH)
                    archive.writestr(info, path.read_bytes(), ZIP_DEFLATED)
        return out.getvalue()

    def _listed(self, name: str) -> list[Any]:
        """What is listed in the file, or the one thing in it; nothing if there is none."""
        found = self._json(name, [])
        return found if isinstance(found, list) else [found]

    def _json(self, name: str, *default: Any) -> Any:
        """What the file says, or the default if there is none; without one it must be there."""
        path = self.directory / name
        if default and not path.exists():
            return default[0]
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not valid JSON: {error}") from None


def ids_in(value: Any) -> list[int]:
    """`eos_token_id` is an id, a list of them, or nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [int(value)]
