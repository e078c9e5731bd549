"""Whether the ids of a prompt fit: what a model's vocabulary and length allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.calls.prompt_maker import too_long
from raylax.proto.errors import InvalidRequest

MOST_SCORED = 1 << 16
"""Log-probabilities of a prompt's tokens and of those beside them, which are kept until all are
there."""


def check_scored_size(tokens: int, top: int, field: str) -> None:
    """Raises InvalidRequest, which names the field, for a prompt with more log-probabilities than
    are kept."""
    if tokens * (1 + top) > MOST_SCORED:
        raise InvalidRequest(
            f"{field}: a prompt may have {MOST_SCORED // (1 + top)} tokens where "
            f"{top} more are told for each, it has {tokens}",
            param=field,
        )


@dataclass(frozen=True, slots=True)
class PromptIds:
    """Checks the ids of prompts for one model. `field`: of the body, where a client finds what an
    InvalidRequest is about."""

    vocab: int
    max_sequence_length: int

    def room(self, prompt: Sequence[int], max_tokens: int | None, field: str) -> int:
        """How long the answer may be; a prompt must leave room for one token."""
        if not prompt:
            raise InvalidRequest(f"{field}: must not be empty", param=field)
        room = self.max_sequence_length - len(prompt)
        if room < 1:
            raise too_long(str(len(prompt)), self.max_sequence_length, field)
        self.check_ids(prompt, field)
        return min(max_tokens, room) if max_tokens else room

    def fitting(self, max_tokens: int | None) -> int:
        """How many tokens a prompt may have that leaves room for such an answer, or for one token
        if that alone would be too long."""
        room = self.max_sequence_length - (max_tokens or 1)
        return room if room > 0 else self.max_sequence_length - 1

    def check_ids(self, ids: Sequence[int], field: str) -> None:
        """Raises InvalidRequest for an id that stands for no token."""
        if ids and max(ids) >= self.vocab:
            token = next(id for id in ids if id >= self.vocab)
            raise InvalidRequest(
                f"{field}: token id {token} is outside the vocabulary of {self.vocab}",
                param=field,
            )
