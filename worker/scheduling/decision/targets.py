"""How long a step may take for those who decode in it: as long as the strictest of them lets it."""

from collections.abc import Collection
from math import inf
from typing import NamedTuple, Self

from raylax.proto.vocabulary import Priority
from raylax.worker.itl_targets import CLASSES, TargetMs, TargetsMs

TIMES_QUIET = 2.5
"""So many times what its decodes alone take may a step take, where no target is set: three times,
less what steps differ from what is expected of them."""
TIMES_LOW = 3.0
"""So many times what holds for everybody holds for the lowest class: nobody reads along."""
MANY, FEW = 8, 2
"""Sequences that wait for their first tokens, from which on an engine is saturated, and until it no
longer is: short steps decode fewer at once, and so an engine makes less of them."""


class Targets(NamedTuple):
    """Seconds that a step may take in which a class decodes, in the order of `Priority`. 0: any;
    None: by what the decodes take."""

    high: float | None = 0.0
    normal: float | None = 0.0
    low: float | None = 0.0

    @classmethod
    def of(cls, set_ms: TargetsMs) -> Self:
        """As they were set: `target_itl_ms` of an engine's configuration."""
        if isinstance(set_ms, dict):
            return cls(*(seconds(set_ms[name]) for name in CLASSES))
        both = seconds(set_ms)
        return cls(both, both, None if both is None else TIMES_LOW * both)

    @property
    def without_auto(self) -> "Targets":
        """Those that were set; of the others any step is short enough."""
        return Targets(*(each or 0.0 for each in self))

    def bind(self, classes: Collection[Priority]) -> bool:
        """Whether any of these classes has one."""
        return any(self[one] != 0 for one in classes)

    def for_step(self, quiet_s: float, classes: Collection[Priority]) -> float:
        """Seconds that a step may take in which these classes wait for their next tokens, and whose
        decodes alone take `quiet_s`; 0: that is not known."""
        return min((self._of(one, quiet_s) for one in classes), default=inf)

    def set_for(self, target_s: float) -> list[str]:
        """The classes for whom somebody has set just that, by name."""
        return [name for name, each in zip(CLASSES, self, strict=True) if each == target_s]

    def _of(self, one: Priority, quiet_s: float) -> float:
        if (target_s := self[one]) is not None:
            return target_s or inf
        auto_s = quiet_s * TIMES_QUIET * (TIMES_LOW if one is Priority.LOW else 1.0)
        return auto_s or inf


NO_TARGETS = Targets()


def seconds(target: TargetMs) -> float | None:
    """What was set, as `Targets` has it."""
    return None if target == "auto" else target / 1000


def is_saturated(first: int, before: bool) -> bool:
    """Whether so many wait for their first tokens that steps are as full as what was set lets them;
    `before`: whether it was so in the last step."""
    return first >= (FEW if before else MANY)
