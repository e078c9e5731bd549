"""Short steps: a tenant's first token comes soon, though a step of everybody's work takes long.

Where a few tokens of one tenant would wait for the rows of all others, they have a step without
those, which go on in the next one.
"""

from collections.abc import Iterable, Sequence

from raylax.proto.fair_share import GENERATED
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import TenantShares
from raylax.worker.scheduling.sequence import DECODE

TIMES_ALONE = 3
"""A step is too long for a tenant's first tokens when it is more than so many times the work that
they are alone."""
Piece = tuple[Candidate, int]
"""A sequence and how many of its tokens a step computes."""


def short_step(
    step: Iterable[Piece], prefills: Sequence[Candidate], shares: TenantShares, tokens: int
) -> list[Piece]:
    """A step of so many tokens at most instead of `step`, for the tenants whose first tokens would
    wait too long for it; nothing if there are none. `prefills`: all whose first tokens could come,
    in order."""
    step = list(step)
    decodes = [piece for piece in step if piece[0].phase is DECODE]
    pieces = [*decodes, *((one, one.pending) for one in prefills)]
    everything, whole = sum(map(work, step)), sum(shares.values())
    chosen, together = set[str](), 0
    theirs = {one.tenant: 0 for one in prefills}
    for one, count in pieces:
        if one.tenant in theirs:
            theirs[one.tenant] += work((one, count))
    for tenant in sorted(theirs, key=lambda tenant: theirs[tenant]):
        together += theirs[tenant]
        if TIMES_ALONE * together > everything or together > tokens:
            break
        if theirs[tenant] * whole <= everything * shares[tenant]:
            chosen.add(tenant)
    return [piece for piece in pieces if piece[0].tenant in chosen]


def work(piece: Piece) -> int:
    """What a piece costs, in tokens of a prefill."""
    one, count = piece
    return GENERATED * count if one.phase is DECODE else count
