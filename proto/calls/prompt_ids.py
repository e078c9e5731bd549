"""Prompts as token ids, and whether they fit: what a model's vocabulary and length allow."""

from collections.abc import Iterable
from dataclasses import dataclass

from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.text.quoting import Prompt
from raylax.proto.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class PromptIds:
    """Makes and checks the ids of prompts for one model. `field`: of the body, where a client finds
    what an InvalidRequest is about."""

    tokenizer: Tokenizer
    vocab: int
    max_sequence_length: int

    def encode_all(
        self, given: Iterable[str | list[int]], field: str, add_special_tokens: bool = True
    ) -> list[list[int]]:
        """Texts as their ids, and ids as they are."""
        return [
            self.encode(Prompt(one), field, add_special_tokens) if isinstance(one, str) else one
            for one in given
        ]

    def encode(self, prompt: Prompt, field: str, add_special_tokens: bool) -> list[int]:
        """A text that cannot fit is refused by its length: tokenising megabytes takes seconds."""
        at_least = len(prompt.text) // self.tokenizer.longest_token
        if at_least >= self.max_sequence_length:
            raise self._too_long(f"at least {at_least}", field)
        return self.tokenizer.encode_prompt(prompt, add_special_tokens)

    def room(self, prompt: list[int], max_tokens: int | None, field: str) -> int:
        """How long the answer may be; a prompt must leave room for one token."""
        if not prompt:
            raise InvalidRequest(f"{field}: must not be empty", param=field)
        room = self.max_sequence_length - len(prompt)
        if room < 1:
            raise self._too_long(str(len(prompt)), field)
        self.check_ids(prompt, field)
        return min(max_tokens, room) if max_tokens else room

    def check_ids(self, ids: Iterable[int], field: str) -> None:
        """Raises InvalidRequest for an id that stands for no token."""
        for token in ids:
            if token >= self.vocab:
                raise InvalidRequest(
                    f"{field}: token id {token} is outside the vocabulary of {self.vocab}",
                    param=field,
                )

    def _too_long(self, tokens: str, field: str) -> PromptTooLong:
        return PromptTooLong(
            f"{field}: the prompt has {tokens} tokens, the limit is "
            f"{self.max_sequence_length - 1} (a sequence holds {self.max_sequence_length})",
            param=field,
        )
