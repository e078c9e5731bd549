"""What a request is checked against before it is accepted, whichever way it has come: the ranges of
its fields and the limits of the loaded model. Behind this nothing in it can make a step fail."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from raylax.proto import ranges
from raylax.proto.calls.prompt_ids import check_scored_size
from raylax.proto.errors import InvalidRequest, PromptTooLong, shown
from raylax.proto.grammar.limits import MOST_BYTES
from raylax.proto.grammar.matchers import Matchers
from raylax.proto.text.labels import WRITES_NOTHING
from raylax.proto.vocabulary import Priority, Request, Sampling
from raylax.worker.config import ECHO, EngineConfig

NO_HEAD = "the model has no head: it has embeddings of texts, and writes none; use /v1/embeddings"


@dataclass(frozen=True)
class ModelLimits:
    """What the loaded model holds and knows. A reload makes a new one."""

    config: EngineConfig
    """Complete."""
    vocab: int
    """Token ids are below this."""
    matchers: Matchers | None = None
    """Of answers in grammars; None: it follows none."""
    labels: int = 0
    """Of texts, which its head has in the place of tokens; 0: it has tokens."""
    headless: bool = False
    """Whether it has none, and so vectors alone."""

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
    check_ids(limits.labels or limits.vocab, request.logits_of, "logits_of")
    if limits.labels and not request.embed:
        raise InvalidRequest(WRITES_NOTHING)
    if limits.headless and (not request.embed or request.logits_of):
        raise InvalidRequest(NO_HEAD)
    check_service(request)
    check_sampling(request.sampling)
    check_grammar(request.sampling, limits)
    if request.score:
        check_scored_size(len(request.prompt), request.sampling.top_logprobs or 0, "logprobs")
    check_ids(limits.vocab, [token for token, _ in request.sampling.logit_bias], "logit_bias")
    check_ids(limits.vocab, request.sampling.allowed_token_ids, "allowed_token_ids")
    check_ids(limits.vocab, [*chain(*request.sampling.bad_words)], "bad_words")
    if (thinking := request.sampling.thinking) is not None:
        check_whole(thinking.budget, "thinking.budget", least=0)
        named = [*thinking.opened_by, thinking.closed_by, *thinking.close]
        check_ids(limits.vocab, named, "thinking")
    if request.max_tokens <= len(request.history):
        raise InvalidRequest(
            f"max_tokens must exceed the history of {len(request.history)} tokens, "
            f"found {request.max_tokens}",
            param="max_tokens",
        )


def check_sampling(sampling: Sampling) -> None:
    """Raises InvalidRequest for a field that is out of its range, or no number."""
    for name, range_ in ranges.SAMPLING.items():
        range_.check(getattr(sampling, name), name)
    least, most = ranges.BIAS
    for token, bias in sampling.logit_bias:
        if not (isinstance(token, int) and isinstance(bias, float) and least <= bias <= most):
            check_whole(token, "logit_bias")
            ranges.BIAS.check(bias, "logit_bias")
    if len(dict(sampling.logit_bias)) < len(sampling.logit_bias):
        raise InvalidRequest("logit_bias: a token may have one entry", param="logit_bias")
    check_whole(sampling.top_k, "top_k", least=0)
    check_whole(sampling.seed, "seed")
    check_whole(sampling.min_tokens, "min_tokens", least=0)
    if not all(sampling.bad_words):
        raise InvalidRequest("bad_words: a phrase must have a token or more", param="bad_words")
    if sampling.top_logprobs is not None:
        check_whole(sampling.top_logprobs, "top_logprobs", least=0)
        ranges.TOP_LOGPROBS.check(sampling.top_logprobs, "top_logprobs")


def check_grammar(sampling: Sampling, limits: ModelLimits) -> None:
    """Raises InvalidRequest for a grammar that is too large, or that nobody follows. What else is
    wrong with it shows when its matcher is made."""
    check_ids(limits.vocab, sampling.grammar_after, "grammar_after")
    if sampling.grammar and limits.matchers is None:
        raise InvalidRequest(f"grammar: {ECHO} follows none", param="grammar")
    if (size := len(sampling.grammar.encode())) > MOST_BYTES:
        raise InvalidRequest(f"grammar: may have {MOST_BYTES} bytes, found {size}", param="grammar")


def check_service(request: Request) -> None:
    """How it is to be served. Raises InvalidRequest."""
    ranges.TENANT_SHARE.check(request.share, "share")
    check_whole(request.choice, "choice", least=0)
    if request.priority not in list(Priority):
        given = shown(request.priority)
        raise InvalidRequest(f"priority: must be 0, 1 or 2, found {given}", param="priority")
    if request.deadline_s is not None and not math.isfinite(request.deadline_s):
        given = shown(request.deadline_s)
        raise InvalidRequest(f"deadline_s: must be finite, found {given}", param="deadline_s")


def check_whole(value: object, field: str, least: float = -math.inf) -> None:
    """Raises InvalidRequest for what is no whole number, or below the least."""
    if not (isinstance(value, int) and value >= least):
        rule = "must be a whole number" + (f" from {least:g}" if least > -math.inf else "")
        raise InvalidRequest(f"{field}: {rule}, found {shown(value)}", param=field)


def check_ids(vocab: int, ids: Sequence[int], field: str) -> None:
    """Raises InvalidRequest for an id outside the vocabulary: kernels do not check, and would read
    wild memory."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab):
        wrong = next(token for token in ids if not 0 <= token < vocab)
        raise InvalidRequest(
            f"{field}: token id {wrong} is outside the vocabulary of {vocab}", param=field
        )
