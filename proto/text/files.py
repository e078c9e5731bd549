"""What a model's files say of text: the one reader of them."""

import json
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from raylax.proto.text.chat_template import DEFAULT, ChatTemplate, ChatTemplates
from raylax.proto.text.judging import LOGIT_SCORE, Judge, judge_of
from raylax.proto.text.pooling import MODULES, POOLING, Pooling, pooling_of, step_of
from raylax.proto.text.reading import check_file, is_there, read_bytes, read_text
from raylax.proto.text.template_files import (
    MORE_TEMPLATES,
    OF_PROCESSOR,
    TEMPLATE,
    TOKENIZER_CONFIG,
    sources_of,
)
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.text.tokenizer_files import TokenizerSettings

TOKENIZER = "tokenizer.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
CONFIG = "config.json"
GENERATION = "generation_config.json"
ARCHIVED = (
    TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, "vocab.json",
    "merges.txt", TEMPLATE, OF_PROCESSOR, CONFIG, GENERATION,
)  # fmt: skip
FORMAT = "tool_format"
"""What a tokenizer_config.json may say, for readers of files that have a format of their own."""
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
        return self._object(CONFIG)

    @cached_property
    def generation_config(self) -> dict[str, Any]:
        """How the model's authors sample from it; empty if they do not say."""
        return self._object(GENERATION)

    @property
    def end_token_ids(self) -> frozenset[int]:
        """The tokens that end an answer, by both configurations."""
        read = {CONFIG: self.config, GENERATION: self.generation_config}
        return frozenset(
            id
            for name, one in read.items()
            for id in ids_in(one.get("eos_token_id"), self.directory / name)
        )

    @property
    def end_token(self) -> str | None:
        """The text of the token that ends an answer by the tokenizer's configuration."""
        return self._tokenizer_settings.special_tokens.get("eos_token")

    @property
    def tool_format(self) -> Any:
        """How the model writes its tool calls; None: nobody says."""
        return self._object(TOKENIZER_CONFIG).get(FORMAT)

    @cached_property
    def tokenizer_info(self) -> dict[str, Any]:
        """What tokenizer_config.json says, with the special tokens and the default chat template
        that count, as texts. Raises OSError or ValueError."""
        config = self._object(TOKENIZER_CONFIG)
        info = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
        info |= self._tokenizer_settings.special_tokens
        if DEFAULT in (sources := sources_of(self.directory, config)):
            info["chat_template"], _ = sources[DEFAULT]
        return info

    def tokenizer(self) -> Tokenizer:
        """By tokenizer.json and what stands beside it. A ValueError names the file at fault."""
        return Tokenizer(self.directory / TOKENIZER, self._tokenizer_settings)

    def chat_templates(self) -> ChatTemplates:
        """All that the model has, by name. Raises ValueError for one that is no template, with its
        file."""
        special, made = self._tokenizer_settings.special_tokens, {}
        sources = sources_of(self.directory, self._object(TOKENIZER_CONFIG))
        for name, (source, file) in sources.items():
            try:
                made[name] = ChatTemplate(source, special)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{file}: {error}") from None
        return ChatTemplates(made)

    @cached_property
    def _tokenizer_settings(self) -> TokenizerSettings:
        files = (TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS)
        settings = TokenizerSettings(*(self._object(name) for name in files))
        try:
            settings.check()
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{self.directory}: {', '.join(files)} declare tokens in a way that is not known: "
                f"{type(error).__name__}: {error}"
            ) from None
        return settings

    def pooling(self, asked: str) -> Pooling:
        """How its vectors are made. `asked`: what a setting says, which may be auto."""
        try:
            return pooling_of(asked, self._listed(POOLING), self._listed(MODULES))
        except (ValueError, AttributeError) as error:
            return Pooling(unsupported=f"{POOLING} or {MODULES} is not valid: {error}")

    def judge(self, reranker: str, tokenizer: Tokenizer) -> Judge | None:
        """What there is to know of a reranker that generates, see `judge_of`. Raises OSError or
        ValueError."""
        modules = (one for one in self._listed(MODULES) if isinstance(one, dict))
        steps = [one for one in modules if step_of(one) == LOGIT_SCORE]
        settings = self._object(f"{Path(str(steps[0].get('path'))).name}/{CONFIG}") if steps else {}
        encode = partial(tokenizer.encode, add_special_tokens=False)
        return judge_of(reranker, self.config, settings, encode)

    def archive(self) -> bytes:
        """A zip of the files, for a gateway that tokenises itself: the same bytes for the same
        files, whenever they were written."""
        out = BytesIO()
        with ZipFile(out, "w") as archive:
            for path in self._archived():
                info = ZipInfo(str(path.relative_to(self.directory)), EPOCH)
                archive.writestr(info, read_bytes(path), ZIP_DEFLATED)
        return out.getvalue()

    def check_archived(self) -> None:
        """Raises OSError or ValueError for a file that cannot be put into the archive, read or
        not."""
        for path in self._archived():
            check_file(path)

    def _archived(self) -> list[Path]:
        more = sorted((self.directory / MORE_TEMPLATES).glob("*.jinja"))
        named = [self.directory / name for name in ARCHIVED]
        return [path for path in (*named, *more) if is_there(path)]

    def _object(self, name: str) -> dict[str, Any]:
        """What the file says, which must be an object; nothing if there is none."""
        found = self._json(name, *(() if name == CONFIG else ({},)))
        if not isinstance(found, dict):
            raise ValueError(f"{self.directory / name}: must be a JSON object")
        return found

    def _listed(self, name: str) -> list[Any]:
        """What is listed in the file, or the one thing in it; nothing if there is none."""
        found = self._json(name, [])
        return found if isinstance(found, list) else [found]

    def _json(self, name: str, *default: Any) -> Any:
        """What the file says, or the default if there is none; without one it must be there."""
        path = self.directory / name
        if default and not is_there(path):
            return default[0]
        text = read_text(path)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not valid JSON: {error}") from None


def ids_in(value: Any, file: Path) -> list[int]:
    """`eos_token_id` is an id, a list of them, or nothing. Raises ValueError with the file."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(id) is int and id >= 0 for id in ids):
        raise ValueError(f"{file}: eos_token_id must be ids of tokens, found {value!r}")
    return ids
