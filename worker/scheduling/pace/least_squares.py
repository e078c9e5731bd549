"""What numbers are by which something takes its time, learned from one case after the other.

One may be much like the last for minutes, and tell nothing of others: so the past is forgotten
only along what a case shows anew, and what was learned of others stays. None is ever negative.
"""

from collections.abc import Sequence
from operator import mul

Vector = list[float]
Matrix = list[Vector]

DOUBT = 1e-3
"""How sure it is in the beginning, in cases, that nothing takes any time."""
SWEEPS, FIRST_SWEEPS = 3, 30
"""Towards the best estimate with each case, and with each of the first: the next ones go on."""
FIRST = 64
"""Cases, of which a few are all that is known."""


class LeastSquares:
    """Seconds of one of each kind. Of so many of each as `units` says they weigh about the same: as
    long as a case could be explained in several ways, what has more of its unit is believed
    more."""

    def __init__(self, units: Sequence[float], forget: float) -> None:
        """`forget`: share of the past that a case replaces."""
        self._units, self._forget = units, forget
        self._found: Vector = [0.0] * len(units)
        self._known: Matrix = []
        self._cases = 0
        self._told: Vector = [0.0] * len(units)
        """Least squares: `known` times `found` is what the cases have told."""

    def __bool__(self) -> bool:
        """Something was learned."""
        return bool(self._known)

    @property
    def values(self) -> Vector:
        """Of one of each."""
        return [found / unit for found, unit in zip(self._found, self._units, strict=True)]

    def expected(self, of: Sequence[float]) -> float:
        """Seconds of so many of each, as far as is known."""
        return dot([count / unit for count, unit in zip(of, self._units, strict=True)], self._found)

    def learn(self, of: Sequence[float], seconds: float, scale: float) -> None:
        """So many of each took so long: take the estimate that is nearest to the old one and to
        this. `scale`, more than 0: seconds of which a tenth is as much as a tenth in other
        cases."""
        seen = [count / unit / scale for count, unit in zip(of, self._units, strict=True)]
        if not self._known:
            axes, doubt = range(len(self._units)), DOUBT / scale**2
            self._known = [[doubt * (i == j) for j in axes] for i in axes]
        along = [dot(row, seen) for row in self._known]
        part = self._forget / dot(seen, along)
        less = part * dot(seen, self._told)
        told = seconds / scale
        for i, (x, y) in enumerate(zip(along, seen, strict=True)):
            self._told[i] += told * y - less * x
            self._known[i] = [
                known - part * x * v + y * w
                for known, v, w in zip(self._known[i], along, seen, strict=True)
            ]
        self._cases += 1
        sweeps = FIRST_SWEEPS if self._cases <= FIRST else SWEEPS
        approach(self._found, self._known, self._told, sweeps)


def dot(one: Vector, other: Vector) -> float:
    """Of a few numbers: quicker than numpy."""
    return float(sum(map(mul, one, other)))


def approach(found: Vector, known: Matrix, told: Vector, sweeps: int) -> None:
    """Move `found` some way to the least squares without negative numbers, from where the last step
    led."""
    for _ in range(sweeps):
        for i, row in enumerate(known):
            found[i] = max(0.0, found[i] + (told[i] - dot(row, found)) / row[i])
