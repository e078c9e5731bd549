"""Makes the matchers of a model's answers. Grammars are kept, for the next answer in them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from llguidance import LLMatcher, LLTokenizer

from raylax.proto.grammar.limits import LIMITS
from raylax.proto.grammar.matcher import GrammarError, Matcher

MOST_KEPT = 16
"""Grammars: one that is made to take much memory has 50 MB, see `LIMITS`; others less than one."""


class Matchers:
    """Of one model. Any thread may use it."""

    def __init__(self, tokenizer: Callable[[], LLTokenizer], vocab: int) -> None:
        """`tokenizer` is called now: for as long as that takes, half a second for 150,000 tokens,
        no other thread runs. What it raises is said to whoever asks for a grammar."""
        self._vocab, self._lock = vocab, Lock()
        self._kept = OrderedDict[str, LLMatcher]()
        self._tokenizer: LLTokenizer | None = None
        self._why_none = ""
        try:
            self._tokenizer = tokenizer()
        except (ValueError, OSError, KeyError) as error:
            self._why_none = f"this model can follow no grammar: {error}"

    def matcher(
        self, grammar: str, after: Sequence[int] = (), history: Sequence[int] = ()
    ) -> Matcher:
        """Of an answer that has come as far as `history`. Raises GrammarError for a grammar that
        this model cannot follow, or a history that is not in it, and ValueError for a model that
        can follow none."""
        matcher = Matcher(self._beginning(grammar), self._vocab, tuple(after))
        if not matcher.advance(history):
            raise GrammarError(matcher.why)
        return matcher

    def _beginning(self, grammar: str) -> LLMatcher:
        with self._lock:
            if (kept := self._kept.get(grammar)) is not None:
                self._kept.move_to_end(grammar)
                return kept.deep_copy()
        if self._tokenizer is None:
            raise ValueError(self._why_none)
        made = LLMatcher(self._tokenizer, grammar, limits=LIMITS, log_level=0)
        if made.is_error():
            raise GrammarError(f"the grammar: {' '.join(made.get_error().split())}")
        with self._lock:
            self._kept[grammar] = made
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made.deep_copy()
