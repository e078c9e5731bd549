"""A tokenizer as transformers would make it of a checkpoint's files.

tokenizer.json does not say all: tokens that are declared beside it are added, and its padding and
its truncation, which are for training, are off. What it puts around a text it says alone: beside it
transformers looks at no `add_bos_token` or `add_eos_token`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tokenizers
from tokenizers import AddedToken

LISTS = ("extra_special_tokens", "additional_special_tokens")
DECLARED = "added_tokens_decoder"
FLAGS = ("lstrip", "rstrip", "normalized", "single_word", "special")


@dataclass(frozen=True)
class TokenizerSettings:
    """What stands beside tokenizer.json. Where tokenizer_config.json declares added tokens, the
    older files are not looked at."""

    config: Mapping[str, Any] = field(default_factory=dict)
    special_tokens_map: Mapping[str, Any] = field(default_factory=dict)
    added_tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def _all(self) -> Mapping[str, Any]:
        declared = DECLARED in self.config
        return self.config if declared else {**self.config, **self.special_tokens_map}

    @property
    def special_tokens(self) -> dict[str, str]:
        """`bos_token` and its like, by name: what templates are told of the tokenizer."""
        texts = {name: text_of(value) for name, value in self._named()}
        return {name: text for name, text in texts.items() if text}

    def check(self) -> None:
        """Raises ValueError, TypeError, LookupError or AttributeError for tokens that are none."""
        for token in (*self._declared(), *self._special()):
            if not token.content:
                raise ValueError("a token must not be empty")

    def apply(self, tokenizer: tokenizers.Tokenizer) -> None:
        """Make a tokenizer.json's tokenizer what all files together say."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = bool(self._all.get("split_special_tokens", False))
        known = tokenizer.get_added_tokens_decoder()
        flags = {repr(token) for token in known.values()}
        if missing := [token for token in self._declared() if repr(token) not in flags]:
            tokenizer.add_tokens(missing)
        texts = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        if missing := [token for token in self._special() if token.content not in texts]:
            tokenizer.add_tokens(missing)

    def _declared(self) -> Iterator[AddedToken]:
        """The tokens that are declared with their ids, in the order of those."""
        declared = self.config.get(DECLARED)
        if declared is not None:
            for _, token in sorted(declared.items(), key=lambda one: int(one[0])):
                yield added_token(token)
            return
        special = {token.content for token in self._special()}
        for text, _ in sorted(self.added_tokens.items(), key=lambda one: int(one[1])):
            yield AddedToken(text, normalized=text not in special, special=text in special)

    def _special(self) -> Iterator[AddedToken]:
        """The tokens that have a name, then those that are listed as special."""
        for _, value in self._named():
            yield added_token(value, special=True)
        for name in LISTS:
            listed = self._all.get(name)
            for value in listed if isinstance(listed, list) else ():
                yield added_token(value, special=True)

    def _named(self) -> Iterator[tuple[str, Any]]:
        for name, value in self._all.items():
            if name.endswith("_token") and text_of(value):
                yield name, value
        more = self._all.get("extra_special_tokens")
        for name, value in more.items() if isinstance(more, dict) else ():
            if text_of(value):
                yield name, value


def text_of(value: Any) -> str | None:
    """A token is its text, or an object with a `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def added_token(value: Any, **more: bool) -> AddedToken:
    if isinstance(value, dict):
        flags = {name: bool(value[name]) for name in FLAGS if name in value}
        return AddedToken(value["content"], **{**flags, **more})
    return AddedToken(value, normalized=False, **more)
