"""One that does not fit into the pages is passed by those that do: in so many steps, so that it
does not starve, and so many at once, so that a long queue is not looked through."""

from dataclasses import dataclass, field

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.candidate import Candidate

MOST_PASSED = 16
"""Steps in which others pass one that does not fit."""
MOST_PASSED_AT_ONCE = 8
"""That do not fit: behind them nobody is looked at, however many wait."""


@dataclass(slots=True)
class Bypass:
    """Of one step: told of each who does not fit, in order of service."""

    large: list[Candidate] = field(default_factory=list)
    """Who does not fit, and lets others pass."""

    def stops(self, priority: Priority) -> bool:
        """Whether one of this class, and who comes behind it, stays behind those that do not
        fit."""
        return any(priority > large.priority for large in self.large)

    def lets_pass(self, one: Candidate) -> bool:
        """Whether this one, which does not fit, is passed by others; else all wait behind it. Who
        has run before is not."""
        if one.begun or one.passed >= MOST_PASSED or len(self.large) >= MOST_PASSED_AT_ONCE:
            return False
        self.large.append(one)
        return True
