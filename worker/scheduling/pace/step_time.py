"""How long a step takes, learned from the steps themselves.

A step takes `a` seconds whatever is in it, `c` for each sequence that decodes, `d` for each token
in the KV pages of those, and what its prefills take (`prefill_time.py`): least squares of all steps
(`least_squares.py`). Routers do not know what stands before a token, and compute with a mean over
the prompts that came lately, `b` for each token (`StepTime`). A machine that gets slower is slower
at everything, so one factor follows it fast. None of the numbers is ever negative.
"""

from typing import NamedTuple

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.pace.least_squares import LeastSquares
from raylax.worker.scheduling.pace.prefill_time import PrefillTime

UNITS = (1.0, 8.0, 4096.0, 8.0, 8192.0)
"""Steps, sequences, tokens in their pages, prefill tokens and their pairs. So the fixed cost is
believed more than that of few sequences, and less than that of a prompt."""
FORGET = 0.01
"""Share of the past that a step replaces."""
FOLLOW = 0.03
"""Share of the past that a step replaces in the machine's speed, and in the mean of prompts."""
MOST_TIMES = 2.0
"""So many times what is expected counts at most: a step that takes longer was held up by something
else, unless that goes on."""


class Times(NamedTuple):
    """What steps take, as far as it is known."""

    step: StepTime = StepTime()
    prefill: PrefillTime = PrefillTime()
    """Of their prefills, by what stands before them: nearer than the mean that `step` has."""
    tried: int = 0
    """The most tokens of prefills that a step has had."""
    decoded: bool = False
    """There was a step without any: what decodes take alone is known."""


NOTHING_KNOWN = Times()


class StepTimeModel:
    """What the steps of one engine have told of what they take."""

    def __init__(self) -> None:
        self._speed = 1.0
        """What a second of those below takes now."""
        self._step = LeastSquares(UNITS, FORGET)
        self._tokens = self._pairs = 0.0
        """Of prefills lately."""
        self.times = NOTHING_KNOWN
        """As far as they are known."""

    @property
    def value(self) -> StepTime:
        """What routers are told."""
        return self.times.step

    def learn(
        self, prefill_tokens: int, decoding: float, context: int, seconds: float, pairs: float = 0.0
    ) -> None:
        """A step took so many seconds; it reads `context` tokens of pages, and its prefills have so
        many `pairs`."""
        before, tried = self.times, max(self.times.tried, prefill_tokens)
        decoded = before.decoded or not prefill_tokens
        self.times = before._replace(tried=tried, decoded=decoded)
        prefill = before.prefill.seconds(prefill_tokens, pairs)
        expected = self.value.seconds(0, decoding, context) + prefill
        if known := bool(self._tokens) if prefill_tokens else before.decoded:
            seconds = min(seconds, MOST_TIMES * expected)
        if seconds <= 0.0:
            return  # a clock that does not move
        if known:
            self._speed *= 1.0 + FOLLOW * (seconds / (expected or seconds) - 1.0)
        if prefill_tokens:
            self._tokens += FOLLOW * (prefill_tokens - self._tokens)
            self._pairs += FOLLOW * (pairs - self._pairs)
        work = (1.0, decoding, context, prefill_tokens, pairs)
        usual = seconds / self._speed
        self._step.learn(work, usual, self._step.expected(work) or usual)
        a, c, d, token, pair = (self._speed * each for each in self._step.values)
        b = token + pair * self._pairs / (self._tokens or 1.0)
        self.times = Times(StepTime(a, b, c, d), PrefillTime(token, pair), tried, decoded)
