"""What fairness among tenants may cost: a twentieth of what the engine does.

Who gives way may have to be computed again, as far as its pages are not found, and a short step
costs what any step does. Both are paid out of what was done before.
"""

from dataclasses import dataclass
from typing import NamedTuple

from raylax.worker.scheduling.decision.short_steps import TIMES_ALONE

PART = 0.05
PART_IN_VAIN = 0.01
"""For short steps that did not take much less than a step of everybody's."""
STEPS_AHEAD = 8
"""So many full steps' tokens may be lost at once, where nothing was for long."""


class Allowed(NamedTuple):
    """What a decision may do for a tenant below its due."""

    giving_way: bool = True
    short_step: bool = False


@dataclass(slots=True)
class Allowance:
    """The account. `step_tokens`: what a step computes at most."""

    step_tokens: int
    _rest_s: float = 0.0
    """Seconds of steps before the next one that may be a short one."""
    _usual_s: float = 0.0
    """What the last one took that was none."""
    _tokens: float = 0.0
    """That may be lost: less than none after a loss that was larger."""

    def __post_init__(self) -> None:
        self._tokens = self._most

    @property
    def now(self) -> Allowed:
        """What the next step may do."""
        return Allowed(self._tokens > 0, self._rest_s <= 0)

    def lost(self, tokens: int) -> None:
        """One that gave way has come back, and so many of its tokens are computed again."""
        self._tokens -= max(0, tokens)

    def stepped(self, tokens: int, seconds: float, short: bool, any_s: float) -> None:
        """A step has computed so many tokens. Any step takes at least `any_s`; 0: not known."""
        self._tokens = min(self._most, self._tokens + PART * tokens)
        if not short:
            self._rest_s, self._usual_s = self._rest_s - seconds, seconds
            return
        paid = TIMES_ALONE * seconds < self._usual_s
        self._rest_s = min(seconds, any_s or seconds) / (PART if paid else PART_IN_VAIN)

    @property
    def _most(self) -> float:
        return float(STEPS_AHEAD * self.step_tokens)
