"""Which tokens a request rules out: for the whole answer, or at this point of it."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from raylax.proto.grammar.matcher import Mask, Matcher
from raylax.proto.vocabulary import Request
from raylax.worker.sampling.adjustment import is_constrained
from raylax.worker.sampling.thinking import forced_after, may_end_after


class Constraints:
    """What one request rules out. It follows from its fields and from the tokens of the answer
    alone, so a sequence that goes on elsewhere draws the same (law 1). A token costs as much as
    there are phrases of which it may be the last but one, whatever the length of the answer."""

    def __init__(self, request: Request) -> None:
        sampling = request.sampling
        self.active = is_constrained(sampling)
        self._prompt = len(request.prompt)
        self._min_tokens, self._ends = sampling.min_tokens, sorted(request.stop_token_ids)
        self._thinking = sampling.thinking
        self._allowed = sampling.allowed_token_ids
        self._never = [phrase[0] for phrase in sampling.bad_words if len(phrase) == 1]
        self._phrases = defaultdict[int, list[tuple[int, ...]]](list)
        for phrase in sampling.bad_words:
            if len(phrase) > 1:
                self._phrases[phrase[-2]].append(phrase)
        self._mask: Mask | None = None
        self.matcher: Matcher | None = None
        """Where the answer stands in its grammar; None: it has none, or the matcher is being
        made."""

    def mask(self, vocab: int, draft: Sequence[int] = ()) -> Mask | None:
        """The tokens that may follow the answer and a draft behind it; None: all. Raises
        GrammarError where the answer cannot go on."""
        everywhere = self._everywhere(vocab)
        here = None if self.matcher is None else self.matcher.mask(draft)
        if everywhere is None or here is None:
            return here if everywhere is None else everywhere
        return everywhere & here

    def forced(self, tokens: Sequence[int], draft: Sequence[int] = ()) -> int | None:
        """The only token that may follow these and a draft behind them, whatever else holds; None:
        there are several."""
        limit, generated = self._thinking, len(tokens) - self._prompt
        if limit is None or not may_end_after(limit, generated + len(draft)):
            return None
        return forced_after(limit, [*tokens[self._prompt :], *draft])

    def _everywhere(self, vocab: int) -> Mask | None:
        """The tokens that may be drawn anywhere; None: all."""
        if not (self._allowed or self._never):
            return None
        if self._mask is None:
            bits = np.full(-(-vocab // 32) * 32, not self._allowed)
            bits[list(self._allowed)] = True
            bits[self._never] = False
            self._mask = np.packbits(bits, bitorder="little").view(np.int32)
        return self._mask

    def forbidden(
        self, tokens: Sequence[int], draft: Sequence[int] = (), mask: Mask | None = None
    ) -> list[int]:
        """The tokens that must not follow these and a draft behind them: those that end an answer
        which is too short, unless only they are in the `mask`, and the last one of each phrase
        whose others were just said."""
        found, said = list[int](), len(tokens) + len(draft) - self._prompt
        if said < self._min_tokens and (mask is None or has_others(mask, self._ends)):
            found += self._ends
        if said and self._phrases:
            last = draft[-1] if draft else tokens[-1]
            for phrase in self._phrases.get(last, ()):
                count = len(phrase) - 1
                if count <= said and latest(tokens, draft, count) == phrase[:-1]:
                    found.append(phrase[-1])
        return found


class NothingLeft(ArithmeticError):
    """No token may follow, for what a request asks for excludes each other."""


def check_left(mask: Mask | None, forbidden: Sequence[int]) -> None:
    """Raises NothingLeft where all of the mask is forbidden."""
    if mask is not None and not has_others(mask, forbidden):
        raise NothingLeft(
            "what the answer must be, and allowed_token_ids, bad_words or the like, exclude each "
            "other"
        )


def has_others(mask: Mask, tokens: Sequence[int]) -> bool:
    """Whether other tokens than these are in it."""
    if not tokens:
        return bool(mask.any())
    rest = mask.copy()
    for token in tokens:
        if token // 32 < len(rest):
            rest[token // 32] &= ~np.uint32(1 << token % 32).astype(np.int32)
    return bool(rest.any())


def only(token: int, vocab: int) -> Mask:
    """A mask of one token."""
    mask = np.zeros(-(-vocab // 32), np.int32)
    mask[token // 32] = np.uint32(1 << token % 32).astype(np.int32)
    return mask


def latest(tokens: Sequence[int], draft: Sequence[int], count: int) -> tuple[int, ...]:
    """The last so many of both, of which there are as many."""
    rest = max(0, count - len(draft))
    return (*tokens[len(tokens) - rest :], *draft[max(0, len(draft) - count) :])
