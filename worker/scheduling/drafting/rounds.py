"""What each step came to in its time, with drafts and without: see `speculation/comparison.py`."""

import time
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from raylax.worker.scheduling.drafting.base import Seen
from raylax.worker.speculation.comparison import Comparison


@dataclass
class Rounds:
    """The steps of an engine that do nothing but decode, by how many sequences do, to powers of
    two."""

    clock: Callable[[], float] = time.perf_counter
    rests: bool = False
    """The step that is under way has no drafts and is not measured."""
    drafted: bool = False
    """It has drafts."""
    _made: dict[int, Comparison] = field(default_factory=lambda: defaultdict(Comparison))
    _begun: float = 0.0
    _decoded: int = 0
    """Sequences that decode in it."""
    _now: Comparison = field(default_factory=Comparison)
    """Of steps like it."""

    def begin(self, decodes: int) -> None:
        """A step begins, with what belongs to it, in which so many sequences decode."""
        self._now = self._made[decodes.bit_length()]
        self.rests, self.drafted = self._now.rest(), False
        if not self.rests:
            self._begun, self._decoded = self.clock(), decodes

    @property
    def allows(self) -> bool:
        """Whether drafts pay in it, as far as is known, or may be tried."""
        return self._now.allows and not self.rests

    @property
    def may_try(self) -> bool:
        """Whether it may have drafts of which nobody thinks that they pay."""
        return self._now.may_try

    def follow(self, seen: Several[Seen]) -> None:
        """It was run."""
        if self.rests or len(seen) != self._decoded or any(map(tells_nothing, seen)):
            return
        tokens = sum([each.kept for each in seen])
        self._now.add(self.drafted, tokens, self.clock() - self._begun)


def tells_nothing(seen: Seen) -> bool:
    """Whether it drew nothing, or had a draft that nobody proposed."""
    proposal = seen.one.proposal
    return seen.row is None or (proposal is not None and proposal.certain)
