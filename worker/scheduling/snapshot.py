"""Sequences as the scheduler sees them."""

from collections.abc import Iterable

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.sequence import PREFILL, Sequence


def running_candidates(running: Iterable[Sequence]) -> list[Candidate]:
    """Those that have their pages, in the order given."""
    return [
        Candidate(
            one.request.id,
            one.phase,
            one.pending,
            one.computed,
            len(one.pages),
            0,
            one.request.priority,
            one.suspect,
            True,
            one.request.tenant,
            len(one.draft),
            one.likely,
        )  # by position: by name takes half as long again
        for one in running
    ]


def waiting_candidate(one: Sequence, holdings: Holdings) -> Candidate:
    """The sequence as if it were admitted now, unless it is not ready."""
    request = one.request
    if not one.ready:
        return Candidate(request.id, PREFILL, len(one.tokens), 0, 0, ready=False)
    found = holdings.find(one)
    computed = len(found) * PAGE_SIZE
    revived = sum(holdings.pool.is_cached(page) for page in found)
    pending, tenant = len(one.tokens) - computed, request.tenant
    return Candidate(request.id, PREFILL, pending, computed, len(found), revived, tenant=tenant)
