"""What the next step computes: a plain function of a snapshot (law 5).

Decodes first, one token each, so that streams keep their pace; then prefills already begun; then
new ones in order of arrival, whole or in chunks, while tokens, rows and pages suffice. When a
running sequence needs a page and there is none, the one admitted last gives its pages back and is
computed again later (its tokens stay the same: law 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raylax.worker.pages import PAGE_SIZE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sequence as the scheduler sees it."""

    id: str
    pending: int
    """Tokens to compute; 1 for a decode."""
    computed: int
    pages: int
    """Pages it holds, or would find in the prefix cache when admitted."""
    revived: int = 0
    """Waiting only: how many of those are cached pages, now counted as available."""

    def pages_to_reach(self, tokens: int) -> int:
        return max(0, -(-tokens // PAGE_SIZE) - self.pages)


@dataclass(frozen=True, slots=True)
class Limits:
    tokens: int
    """Of one step."""
    sequences: int


@dataclass(slots=True)
class Decision:
    """`steps` in the order of the batch. Who is admitted has a step, too."""

    steps: list[tuple[str, int]] = field(default_factory=list)
    admit: list[str] = field(default_factory=list)
    preempt: list[str] = field(default_factory=list)


def schedule(
    running: Sequence[Candidate], waiting: Sequence[Candidate], available: int, limits: Limits
) -> Decision:
    """`running` in order of admission, `waiting` in order of service; `available` pages."""
    decision, budget = Decision(), limits.tokens
    staying = list(running)
    for one in running:
        if one.pending != 1 or one not in staying:
            continue
        need = one.pages_to_reach(one.computed + 1)
        while need > available and staying:
            last = staying.pop()
            decision.preempt.append(last.id)
            decision.steps = [step for step in decision.steps if step[0] != last.id]
            available += last.pages
            if last is one:
                break
        if one in staying:
            available -= need
            budget -= 1
            decision.steps.append((one.id, 1))
    for one in staying:
        if one.pending > 1 and budget > 0:
            count = min(one.pending, budget)
            budget -= count
            decision.steps.append((one.id, count))
    if not decision.preempt:
        admit(decision, waiting, limits.sequences - len(staying), budget, available)
    return decision


def admit(
    decision: Decision, waiting: Sequence[Candidate], seats: int, budget: int, available: int
) -> None:
    """Nobody overtakes: the first who does not fit keeps the others waiting.

    Pages for all pending tokens are taken at once, so that two half-done prefills cannot block
    each other.
    """
    for one in waiting[: max(0, seats)]:
        need = one.pages_to_reach(one.computed + one.pending) + one.revived
        count = min(one.pending, budget)
        if count < 1 or need > available:
            return
        available -= need
        budget -= count
        decision.admit.append(one.id)
        decision.steps.append((one.id, count))
