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

    always: bool = False
    """Drafts are proposed in every step, but for those that are left out to compare; else steps
    without any come by themselves."""
    clock: Callable[[], float] = time.perf_counter
    _made: dict[int, Comparison] = field(default_factory=dict)
    _begun: float = 0.0
    _decoded: int = 0
    """Sequences that decode in the step that is under way."""
    drafted: bool = False
    """Whether it has drafts."""

    def __post_init__(self) -> None:
        self._made = defaultdict(lambda: Comparison(self.always))

    def begin(self, decodes: int) -> None:
        """A step begins, with what belongs to it, in which so many sequences decode."""
        self._begun, self._decoded, self.drafted = self.clock(), decodes, False

    @property
    def allows(self) -> bool:
        """Whether drafts pay in it, as far as is known, or may be tried."""
        return self._made[self._decoded.bit_length()].allows

    @property
    def may_try(self) -> bool:
        """Whether it may have drafts of which nobody thinks that they pay."""
        return self._made[self._decoded.bit_length()].may_try

    def follow(self, seen: Several[Seen]) -> None:
        """It was run."""
        if len(seen) == self._decoded and all(each.row is not None for each in seen):
            tokens, seconds = sum([each.kept for each in seen]), self.clock() - self._begun
            self._made[self._decoded.bit_length()].add(self.drafted, tokens, seconds)
