"""How long a step takes, learned from the steps themselves.

A step takes `a` seconds whatever is in it, `b` for each prefill token, `c` for each sequence that
decodes and `d` for each token in the KV pages of those (`StepTime`). Steps that only decode tell
`a`, `c` and `d` by least squares, those with a prefill tell `b` by what the rest leaves. An engine
may decode the same few sequences for minutes, which tells nothing of others: so the past is
forgotten only along what a step shows anew, and what was learned of other batches stays. A machine
that gets slower is slower at everything, so one factor follows it fast. Routers compute with these
numbers: none is ever negative.
"""

from raylax.proto.vocabulary import StepTime

Vector = list[float]
"""Three numbers, of `a`, `c` and `d`."""
Matrix = list[Vector]

AXES = range(3)
UNITS = (1.0, 8.0, 4096.0)
"""Steps, sequences and tokens: so many of each weigh about the same. As long as a step could be
explained in several ways, the fixed cost is believed most."""
DOUBT = 1e-3
"""How sure it is in the beginning, in steps, that nothing takes any time."""
FORGET = 0.01
"""Share of the past that a step replaces."""
FOLLOW = 0.03
"""Share of the past that a step replaces in the machine's speed, and in `b`."""
SWEEPS = 3
"""Towards the best estimate in each step; the next ones go on."""
MOST_TIMES = 2.0
"""So many times what is expected counts at most: a step that takes longer was held up by something
else, unless that goes on."""


class StepTimeModel:
    """What the steps of one engine have told of `a`, `b`, `c` and `d`."""

    def __init__(self) -> None:
        self._speed = 1.0
        """What a second of those below takes now."""
        self._decode: Vector = [0.0] * 3
        """a, c, d by units."""
        self._known: Matrix = []
        self._told: Vector = [0.0] * 3
        """Least squares: `known` times the three is what the steps have told."""
        self._left = self._squares = 0.0
        self.value = StepTime()
        """As far as it is known: nothing in the beginning."""

    def learn(self, prefill_tokens: int, decoding: float, context: int, seconds: float) -> None:
        """A step took so many seconds; `context` tokens lie in the pages of those that decode."""
        expected = self.value.seconds(prefill_tokens, decoding, context)
        if self._squares if prefill_tokens else self._known:
            seconds = min(seconds, MOST_TIMES * expected)
        if seconds <= 0.0:
            return  # a clock that does not move
        if prefill_tokens:
            left = seconds - self.value.seconds(0, decoding, context)
            self._learn_prefill(prefill_tokens, left / self._speed)
        else:
            self._speed *= 1.0 + FOLLOW * (seconds / (expected or seconds) - 1.0)
            self._learn_decode(decoding, context, seconds / self._speed)
        a, c, d = (self._speed * x / unit for x, unit in zip(self._decode, UNITS, strict=True))
        b = self._speed * max(0.0, self._left / (self._squares or 1.0))
        self.value = StepTime(a, b, c, d)

    def _learn_prefill(self, tokens: int, left: float) -> None:
        """`left`: what the prefill took of a step. A large chunk tells more than a small one."""
        self._left += FOLLOW * (left * tokens - self._left)
        self._squares += FOLLOW * (tokens * tokens - self._squares)

    def _learn_decode(self, decoding: float, context: int, seconds: float) -> None:
        """Take the estimate that is nearest to the old one and to this step.

        In units of what was expected, so that a tenth is as much in a short step as in a long one.
        """
        seen = [1.0, decoding / UNITS[1], context / UNITS[2]]
        expected = dot(seen, self._decode) or seconds
        seen = [x / expected for x in seen]
        if not self._known:
            self._known = [[DOUBT / expected**2 * (i == j) for j in AXES] for i in AXES]
        along = [dot(row, seen) for row in self._known]
        part = FORGET / dot(seen, along)
        less = part * dot(seen, self._told)
        told = seconds / expected
        for i, (x, y) in enumerate(zip(along, seen, strict=True)):
            self._told[i] += told * y - less * x
            self._known[i] = [
                known - part * x * v + y * w
                for known, v, w in zip(self._known[i], along, seen, strict=True)
            ]
        approach(self._decode, self._known, self._told)


def dot(one: Vector, other: Vector) -> float:
    """Of three numbers: quicker than numpy."""
    a, b, c = one
    x, y, z = other
    return a * x + b * y + c * z


def approach(found: Vector, known: Matrix, told: Vector) -> None:
    """Move `found` some way to the least squares without negative numbers, from where the last step
    led."""
    for _ in range(SWEEPS):
        for i, row in enumerate(known):
            found[i] = max(0.0, found[i] + (told[i] - dot(row, found)) / row[i])
