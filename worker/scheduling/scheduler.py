"""What the next step computes: a plain function of a snapshot (law 5).

Decodes first, one token each, so that streams keep their pace; then prefills already begun; then
new ones in order of service, whole or in chunks, while tokens, seats and pages suffice. When the
decodes need more pages than there are, the sequence admitted last, of the lowest class, gives its
pages back and is computed again later (its tokens stay the same: law 1).

After a step that failed, each of its sequences is stepped alone, until it is known who is to blame.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raylax.proto.pages import pages_for
from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.sequence import DECODE, PREFILL, Phase


class Candidate(NamedTuple):
    """A sequence as the scheduler sees it."""

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

    def pages_to_reach(self, tokens: int) -> int:
        """Pages that it lacks to hold its first `tokens` tokens."""
        return max(0, pages_for(tokens) - self.pages)


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What a step holds at most."""

    tokens: int
    """Of one step: at least one for each sequence, so that every decode has its token."""
    sequences: int

    def __post_init__(self) -> None:
        if not 1 <= self.sequences <= self.tokens:
            raise ValueError(
                f"a step must hold a token for each sequence, found {self.tokens} tokens "
                f"for {self.sequences} sequences"
            )


@dataclass(slots=True)
class Decision:
    """What the next step computes: `steps` are sequences with their numbers of tokens, in the order
    of the batch. Who is admitted has a step, too."""

    steps: list[tuple[str, int]] = field(default_factory=list)
    admit: list[str] = field(default_factory=list)
    preempt: str | None = None
    """Nothing else is decided then: how many pages really come back shows when they have."""


def schedule(
    running: Sequence[Candidate], waiting: Iterable[Candidate], available: int, limits: StepLimits
) -> Decision:
    """Decide. `running` are in order of admission, `waiting` in order of service, looked at only as
    far as it is served; `available`: pages that can be had."""
    for one in running:
        if one.suspect:  # and so it has its pages
            return Decision([(one.id, min(one.pending, limits.tokens))])
    needed = sum(
        one.pages_to_reach(one.computed + one.pending) for one in running if one.phase is DECODE
    )
    if needed > available:
        return Decision(preempt=max(reversed(running), key=lambda one: one.priority).id)
    decision, budget = Decision(), limits.tokens
    for one in sorted(running, key=lambda one: one.phase is PREFILL):
        if count := min(one.pending, budget):
            budget -= count
            decision.steps.append((one.id, count))
    if (seats := limits.sequences - len(running)) > 0 and budget > 0:
        admit(decision, waiting, seats, budget, available - needed)
    return decision


def admit(
    decision: Decision, waiting: Iterable[Candidate], seats: int, budget: int, available: int
) -> None:
    """Nobody overtakes: the first who does not fit keeps the others waiting. Those who are not
    ready are passed over.

    Pages for all pending tokens are taken at once, so that two half-done prefills cannot block
    each other.
    """
    for one in waiting:
        if not one.ready:
            continue
        need = one.pages_to_reach(one.computed + one.pending) + one.revived
        if need > available:
            return
        count = min(one.pending, budget)
        available -= need
        budget -= count
        decision.admit.append(one.id)
        decision.steps.append((one.id, count))
        if budget == 0 or len(decision.admit) == seats:
            return
