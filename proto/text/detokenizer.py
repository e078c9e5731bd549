"""Text of tokens that arrive one after another."""

from collections.abc import Sequence

from raylax.proto.text.tokenizer import INCOMPLETE, Tokenizer

LONGEST_WAIT = 8  # tokens; a character has at most four bytes, so more is not going to complete


class Detokenizer:
    """Makes text of tokens as they arrive: never half a character, and together exactly all of it.

    What a token adds may depend on those before it (leading spaces, bytes of one character): then
    the tokens since the last clean cut are decoded anew and only what is new is given out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._begin = 0  # of the tokens that give context
        self._given = 0  # tokens whose text is out
        self._context = 0  # characters that those between the two have by themselves
        self._clean = True  # all text is out, and ends with a whole character

    def add(self, ids: Sequence[int]) -> str:
        """The text that is certain after these tokens."""
        said = ""
        for token in ids:
            self._ids.append(token)
            if self._clean and (text := self._tokenizer.whole(token)):
                self._begin, self._context = self._given, len(text)
                self._given += 1
            else:
                text = self._take(last=False)
            said += text
        return said

    def finish(self) -> str:
        """What was held back: an incomplete character is given as it is."""
        return self._take(last=True)

    def _take(self, last: bool) -> str:
        text = self._tokenizer.decode(self._ids[self._begin :])
        broken = text.endswith(INCOMPLETE)
        waits = broken and len(self._ids) - self._given < LONGEST_WAIT
        if (waits and not last) or len(text) <= self._context:
            self._clean = False
            return ""
        new, self._clean = text[self._context :], not broken
        self._begin, self._given = self._given, len(self._ids)
        cut = self._ids[self._begin :]
        decode = self._tokenizer.decode
        self._context = len(self._tokenizer.decode_alone(cut[0]) if len(cut) == 1 else decode(cut))
        return new
