"""What a request is checked against before it is accepted: the limits of the loaded model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.vocabulary import Request
from raylax.worker.config import EngineConfig


@dataclass(frozen=True)
class ModelLimits:
    """What requests are checked against. A reload makes a new one."""

    config: EngineConfig
    vocab: int

    @property
    def capacity(self) -> int:
        """Requests that may wait or run."""
        return self.config.max_waiting + (self.config.max_num_sequence or 0)


def within(limits: ModelLimits, request: Request) -> Request:
    """The request, `max_tokens` cut to what a sequence holds. Raises InvalidRequest."""
    longest = limits.config.max_single_sequence_length or 0
    length = len(request.prompt) + len(request.history)
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
    return replace(request, max_tokens=min(request.max_tokens, longest - len(request.prompt)))


def check_ids(vocab: int, ids: Sequence[int], field: str) -> None:
    """The kernels do not check: an id outside the vocabulary would read wild memory."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        wrong = next(token for token in ids if not 0 <= token < vocab)
        raise InvalidRequest(
            f"{field}: token id {wrong} is outside the vocabulary of {vocab}", param=field
        )
