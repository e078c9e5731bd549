"""Who gives way when seats or pages do not suffice: sequences of the tenant that has most, by its
share.

A tenant keeps its due, so that nobody gives way to and fro. Of its sequences those of the lowest
class go first, then those that cost least: they have least computed, of which full pages can be
found again. The oldest of its highest class stays, so that somebody always comes to an end.

Whatever their tenants, the lowest class gives way to the highest.

Where nobody has more than its due, since there are more tenants than seats or their sequences are
large, they take turns: one that decodes gives way when its tenant has had so much more.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Amounts, Division
from raylax.worker.scheduling.sequence import DECODE

Measure = Callable[[Candidate], int]
TURN = 512
"""Tokens that a tenant may be ahead of one that waits, beyond its share: a page, which may have to
be computed again, is little against that."""


def seats(one: Candidate) -> int:
    """Every sequence that runs has one."""
    return 1


def pages(one: Candidate) -> int:
    """Those that it holds, be it with others."""
    return one.pages


def pending(one: Candidate) -> int:
    """Tokens that it wants of a step."""
    return one.pending


def sums(several: Iterable[Candidate], measure: Measure) -> dict[str, int]:
    """What each tenant has of it."""
    has = defaultdict[str, int](int)
    for one in several:
        has[one.tenant] += measure(one)
    return has


def giving_way(running: Sequence[Candidate], due: Amounts, measure: Measure) -> Iterator[Candidate]:
    """Who gives way, one after the other."""
    has = sums(running, measure)
    lines = {tenant: line_of(tenant, running) for tenant in has if has[tenant] > due[tenant]}
    while lines:
        tenant = max(lines, key=lambda tenant: has[tenant] / due[tenant])
        line, above = lines[tenant], has[tenant] - due[tenant]
        while line and not 0 < measure(line[-1]) <= above:
            line.pop()
        if line:
            one = line.pop()
            has[tenant] -= measure(one)
            yield one
        else:
            del lines[tenant]


def lower_classes(running: Iterable[Candidate], priority: Priority) -> list[Candidate]:
    """Who gives way to one of the highest class: those of the lowest, each so often at most. First
    who has least computed, and so least to compute again; pages that nobody needs are found."""
    if priority is not Priority.HIGH:
        return []
    low = [one for one in running if one.priority is Priority.LOW and not one.spared]
    return sorted(low, key=lambda one: one.computed)


def turns_over(
    running: Sequence[Candidate], division: Division, tenant: str, recomputed: bool
) -> Iterator[Candidate]:
    """Whose turn is over for this tenant's to come, those first whose tenants are most ahead of it.
    `recomputed`: who gives way loses its pages, and so its turn is the longer."""
    had, shares = division.had, division.shares
    ahead = {one.tenant: (had[one.tenant] - had[tenant]) * shares[one.tenant] for one in running}
    for one in sorted(running, key=lambda one: ahead[one.tenant], reverse=True):
        turn = TURN + one.computed if recomputed else TURN
        if one.phase is DECODE and ahead[one.tenant] >= turn:
            yield one


def enough_of(giving: Iterable[Candidate], measure: Measure, lack: int) -> list[Candidate]:
    """As many of them as free what is lacking, or nobody."""
    enough = list[Candidate]()
    for one in giving:
        enough.append(one)
        if (lack := lack - measure(one)) <= 0:
            return enough
    return []


def line_of(tenant: str, running: Iterable[Candidate]) -> list[Candidate]:
    """A tenant's sequences but the oldest of its highest class; the last one gives way first."""
    theirs = [one for one in running if one.tenant == tenant]
    theirs.remove(min(theirs, key=lambda one: one.priority))
    return sorted(theirs, key=lambda one: (one.priority, -one.computed))
