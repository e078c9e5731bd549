"""A draft by looking the last tokens up in the text so far (prompt lookup decoding).

Where the same few tokens stood before, what followed them may follow again: in answers that quote,
edit or summarise their prompt, in code, in JSON. See https://arxiv.org/abs/2304.04487.
"""

from collections.abc import Sequence

import numpy as np

LEAST = 3
"""Tokens that must be the same."""
FARTHEST = 65_536
"""Tokens, the last ones when a draft is first asked for, that are looked through: what is kept of
a sequence is some 100 bytes for each."""
WIDTH = 21
"""Bits of a token's id in a key: more than any vocabulary needs."""
MASK = (1 << LEAST * WIDTH) - 1


class NGrams:
    """The text of one sequence, by what its last tokens were. A token costs a few microseconds."""

    def __init__(self) -> None:
        self._ends = dict[int, int]()
        """By some tokens that follow each other: where the text goes on behind them."""
        self._told = 0
        """Tokens of the text that are known."""
        self._key = 0
        """The last tokens."""
        self._follows: int | None = None
        """Where the text once went on as it may go on now."""
        self.matched = 0
        """How many of the last tokens stood there, too."""

    @property
    def told(self) -> int:
        """Tokens of the text that are known."""
        return self._told

    def tell(self, tokens: Sequence[int]) -> None:
        """The text so far: those that are new since the last call count."""
        if not self._told:
            self._look_through(tokens, max(0, len(tokens) - FARTHEST), len(tokens) - 1)
        for at in range(self._told, len(tokens)):
            self._add(tokens, at)
        self._told = len(tokens)

    def behind(self, other: "NGrams") -> int | None:
        """Where this text goes on behind the last tokens of another one; None if it has them
        not."""
        return self._ends.get(other._key) if other._told >= LEAST else None

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """What may follow the text, which has been told. Where it would go on beyond the text's
        end, it goes on with itself: text that repeats itself does so for ever."""
        if self._follows is None:
            return []
        found = list(tokens[self._follows : self._follows + most])
        while found and len(found) < most:
            found += found[: most - len(found)]
        return found

    def _look_through(self, tokens: Sequence[int], first: int, last: int) -> None:
        """Take in all but the last token, at once."""
        text = np.array(tokens[first:last], np.int64)
        self._told = max(last, 0)
        for token in text[-LEAST:].tolist():
            self._key = self._next_key(token)
        if len(text) >= LEAST:
            keys = np.zeros(len(text) - LEAST + 1, np.int64)
            for i in range(LEAST):
                keys |= text[i : len(text) - LEAST + 1 + i] << WIDTH * (LEAST - 1 - i)
            self._ends.update(zip(keys.tolist(), range(first + LEAST, last + 1), strict=True))

    def _add(self, tokens: Sequence[int], at: int) -> None:
        token = tokens[at]
        self._key = self._next_key(token)
        goes_on = self._follows is not None and tokens[self._follows] == token
        before = self._ends.get(self._key) if at + 1 >= LEAST else None
        if goes_on:
            assert self._follows is not None
            self._follows, self.matched = self._follows + 1, self.matched + 1
        elif before is not None:
            self._follows, self.matched = before, LEAST
        else:
            self._follows, self.matched = None, 0
        if at + 1 >= LEAST:
            self._ends[self._key] = at + 1

    def _next_key(self, token: int) -> int:
        return (self._key << WIDTH | token) & MASK
