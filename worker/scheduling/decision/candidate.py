"""A sequence as the scheduler sees it, at one moment."""

from typing import NamedTuple

from raylax.proto.pages import pages_for
from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.sequence import Phase


class Candidate(NamedTuple):
    """A sequence that runs, or that waits."""

    id: str
    phase: Phase
    pending: int
    """Tokens to compute."""
    computed: int
    pages: int
    """Pages it holds, or would find in the prefix cache when admitted."""
    revived: int = 0
    """Waiting only: how many of those are cached pages, now counted as available."""
    priority: Priority = Priority.NORMAL
    suspect: bool = False
    """Running only: it was part of a step that failed."""
    ready: bool = True
    """Waiting only: it lacks nothing but room."""
    tenant: str = ""
    drafted: int = 0
    """Running only: tokens that may follow, which a step can verify."""
    likely: float = 0.0
    """How likely each of them is right, if those before it are."""
    passed: int = 0
    """Waiting only: steps in which others were admitted before it, since it did not fit."""
    begun: bool = False
    """Waiting only: it has run before, and nobody passes it."""
    speaks: bool = True
    """Running only: its first token was drawn, so that somebody waits for the next one."""
    spared: bool = False
    """Running only: it has given way to a higher class as often as it may have to."""
    behind: int = 0
    """Pages that it needs no more, or would not: nothing sees them."""

    def pages_to_reach(self, tokens: int) -> int:
        """Pages that it lacks to hold its first `tokens` tokens."""
        return max(0, pages_for(tokens) - self.pages - self.behind)

    @property
    def pages_wanted(self) -> int:
        """Waiting only: pages that its admission takes of those that can be had."""
        return self.pages_to_reach(self.computed + self.pending) + self.revived
