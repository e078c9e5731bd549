"""What a request is checked against before it is accepted: the limits of the loaded model."""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.vocabulary import Request
from raylax.worker.config import EngineConfig


@dataclass(frozen=True)
class ModelLimits:
    """What the loaded model holds and knows. A reload makes a new one."""

    config: EngineConfig
    """Complete."""
    vocab: int
    """Token ids are below this."""

    @property
    def capacity(self) -> int:
        """Requests that may wait or run."""
        return self.config.max_waiting + (self.config.max_num_sequence or 0)

    @property
    def longest(self) -> int:
        """Most tokens of a sequence, prompt and answer."""
        return self.config.max_single_sequence_length or 0


def check(request: Request, limits: ModelLimits) -> None:
    """Raises InvalidRequest for one that the model cannot answer, and says which field is wrong.

    Its `max_tokens` may exceed what a sequence holds: the answer is cut there.
    """
    longest, length = limits.longest, len(request.prompt) + len(request.history)
    if not request.prompt:
        raise InvalidRequest("the prompt must not be empty", param="prompt")
    if length + 1 > longest:
        raise PromptTooLong(
            f"the prompt has {length} tokens, the limit is {longest - 1}", param="prompt"
        )
    check_ids(limits.vocab, request.prompt, "prompt")
    check_ids(limits.vocab, request.history, "history")
    check_ids(limits.vocab, [token for token, _ in request.sampling.logit_bias], "logit_bias")
    if request.max_tokens <= len(request.history):
        raise InvalidRequest(
            f"max_tokens must exceed the history of {len(request.history)} tokens, "
            f"found {request.max_tokens}",
            param="max_tokens",
        )


def check_ids(vocab: int, ids: Sequence[int], field: str) -> None:
    """Raises InvalidRequest for an id outside the vocabulary: kernels do not check, and would read
    wild memory."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        wrong = next(token for token in ids if not 0 <= token < vocab)
        raise InvalidRequest(
            f"{field}: token id {wrong} is outside the vocabulary of {vocab}", param=field
        )
