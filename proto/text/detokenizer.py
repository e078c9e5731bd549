"""Text of tokens that arrive one after another."""

from collections.abc import Sequence

from raylax.proto.text.tokenizer import INCOMPLETE, Tokenizer

LONGEST_WAIT = 8  # tokens; a character has at most four bytes, so more is not going to complete


class Detokenizer:
    """Makes text of tokens as they arrive: never half a character, and together exactly all of it.

    What a token adds may depend on those before it (leading spaces, bytes of one character): then
    the tokens since the last clean cut are decoded anew and only what is new is given out. They are
    at most 2 * LONGEST_WAIT, whatever comes: a token costs the same wherever it stands.
    """

    def __init__(
        self, tokenizer: Tokenizer, shown: frozenset[int] = frozenset(), continues: bool = False
    ) -> None:
        """`shown`: special tokens whose names are text here. `continues`: whether there is text
        before the first token, so that the space that it begins with stays."""
        self._tokenizer, self._shown = tokenizer, shown
        self._context: list[int] = [*tokenizer.any_text] if continues else []
        self._new: list[int] = []  # tokens whose text is not out
        self._known = len(tokenizer.decode(self._context)) if self._context else 0
        # characters that the context has by itself
        self._clean = True  # all text is out, and ends with a whole character

    def add(self, ids: Sequence[int]) -> str:
        """The text that is certain after these tokens."""
        said = ""
        for token in ids:
            if self._clean and (text := self._tokenizer.whole(token)):
                self._context, self._known = [token], len(text)
            elif token in self._shown:
                text = self.finish() + self._tokenizer.name_of(token)
            elif self._tokenizer.adds_text(token):
                self._new.append(token)
                text = self._take(last=False)
            else:
                continue
            said += text
        return said

    def finish(self) -> str:
        """What was held back: an incomplete character is given as it is."""
        return self._take(last=True) if self._new else ""

    def _take(self, last: bool) -> str:
        text = self._tokenizer.decode(self._context + self._new)
        broken, full = text.endswith(INCOMPLETE), len(self._new) >= LONGEST_WAIT
        if len(text) <= self._known:
            if full or last:  # they add nothing, and nothing that follows will change that
                self._new, self._clean = [], not broken
            else:
                self._clean = False
            return ""
        if broken and not full and not last:
            self._clean = False
            return ""
        new, self._clean = text[self._known :], not broken
        self._context, self._new = self._new, []
        cut = self._context
        alone = self._tokenizer.decode_alone
        self._known = len(alone(cut[0]) if len(cut) == 1 else self._tokenizer.decode(cut))
        return new
