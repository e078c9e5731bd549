"""What the prefills of a step take: more, the more tokens stand before them, since each looks at
all of those.

Deep in a long prompt a token takes several times what one of its beginning does, so that neither
tells of the other by a mean. Learned with all else of a step (`step_time.py`).
"""

from math import sqrt
from typing import NamedTuple


def pairs(tokens: int, before: int) -> float:
    """Of a token and one that it looks at, for so many tokens behind so many others."""
    return tokens * (before + tokens / 2)


class Past(NamedTuple):
    """What stands before the tokens of a step's prefills."""

    pairs: float = 0.0
    tokens: int = 0
    """That are in pages already, each of which is read once."""


NO_PAST = Past()


class PrefillTime(NamedTuple):
    """Seconds of the prefills of a step."""

    token: float = 0.0
    pair: float = 0.0
    """For a token and one that it looks at."""

    def seconds(self, tokens: int, of_pairs: float) -> float:
        """Of so many tokens, which make so many `pairs`."""
        return self.token * tokens + self.pair * of_pairs

    def tokens_within(self, seconds: float, before: int) -> float:
        """How many tokens take so long, where so many stand before them: the root of
        `pair / 2 * n**2 + (token + pair * before) * n = seconds`. Something must be known."""
        each = self.token + self.pair * before
        return 2 * seconds / (each + sqrt(each * each + 2 * self.pair * seconds))
