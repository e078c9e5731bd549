"""Where an answer stands in its grammar, and which tokens may come next.

All of it follows from the grammar and the tokens of the answer, so an answer that goes on elsewhere
goes on as it would have here (law 1). Where the grammar leaves but one text, the mask leaves but
the first token of it, as the tokenizer cuts that text: `forced` has these tokens before they are
drawn, so that a step can verify them together.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher

Mask = npt.NDArray[np.int32]
"""Of a vocabulary: bit i of word w says whether the token 32 * w + i may be drawn."""
Said = tuple[int, ...]
"""Tokens behind those of the answer, as a draft has them."""


class GrammarError(ArithmeticError):
    """An answer cannot go on in its grammar: it has become too complex, or nothing may follow."""


class Matcher:
    """Of one answer. Used by one thread at a time."""

    def __init__(self, inner: LLMatcher, vocab: int, after: Said = ()) -> None:
        """`inner`: at its beginning. `after`: the grammar begins behind these tokens, and until
        they come any may; nothing: it begins with the answer."""
        self._inner, self._words, self._after = inner, -(-vocab // 32), after
        self._tail: Said = ()  # of the answer, as far as `after` may have begun in it
        self._begun = not after
        self._masks = dict[Said, Mask | None]()

    @property
    def complete(self) -> bool:
        """Nothing may follow any more."""
        return self._begun and self._inner.is_stopped() and not self._inner.is_error()

    def advance(self, tokens: Sequence[int]) -> bool:
        """The answer has these, too; whether the grammar allows them. If not, nothing may follow,
        and `mask` says why."""
        self._masks.clear()
        if tokens and not self._begun:
            tokens = self._begin(tokens)
        return not tokens or self._inner.consume_tokens(list(tokens))

    def _begin(self, tokens: Sequence[int]) -> Said:
        """Those of them that are of the grammar."""
        whole = (*self._tail, *tokens)
        rest = behind(whole, self._after)
        if rest is None:
            self._tail = whole[len(whole) - len(self._after) + 1 :] if len(self._after) > 1 else ()
            return ()
        self._begun, self._tail = True, ()
        return rest

    def mask(self, said: Sequence[int] = ()) -> Mask | None:
        """The tokens that may follow the answer and these; None: all. Remembered until it grows.
        Raises GrammarError where nothing may, since it has become too complex."""
        key = tuple(said)
        if key not in self._masks:
            self._masks[key] = self._mask(key)
        return self._masks[key]

    def _mask(self, said: Said) -> Mask | None:
        if not self._begun:
            rest = behind((*self._tail, *said), self._after)
            if rest is None:
                return None
            said = rest
        taken = self._inner.try_consume_tokens(list(said)) if said else 0
        try:
            if taken < len(said):
                return None  # what is drawn before it is something else
            mask = np.empty(self._words, np.int32)
            self._inner.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        finally:
            if taken:
                self._inner.rollback(taken)
        if self._inner.is_error() or not mask.any():
            raise GrammarError(self.why)
        return mask

    def forced(self) -> list[int]:
        """The tokens that must follow, as far as that is known."""
        return self._inner.compute_ff_tokens() if self._begun else []

    def allowed(self, draft: list[int]) -> int:
        """How many tokens of a draft may follow each other."""
        return self._inner.validate_tokens(draft) if self._begun else len(draft)

    @property
    def why(self) -> str:
        """What keeps the answer from going on."""
        said = self._inner.get_error()
        if not said or said.startswith("NoExtension"):
            return "the grammar: no token of this model can go on in it"
        return f"the grammar: {' '.join(said.split())}"


def behind(tokens: Said, mark: Said) -> Said | None:
    """What follows the first place of a mark; None: it is not there."""
    for at in range(len(tokens) - len(mark) + 1):
        if tokens[at : at + len(mark)] == mark:
            return tokens[at + len(mark) :]
    return None
