"""Drafts that grammars make certain: where an answer can go on in one way alone, its next tokens
are verified in one step. They are drawn like any others, so that one by one they are the same."""

from collections.abc import Iterable

from raylax.worker.scheduling.drafting.base import proposal_of, room_for_drafts
from raylax.worker.scheduling.sequence import Sequence


def follow_grammars(decodes: Iterable[Sequence], most: int) -> None:
    """Put what must follow, `most` tokens of it, in the place of what is proposed; and leave out
    of proposals what must not follow."""
    for one in decodes:
        if (matcher := one.constraints.matcher) is None:
            continue
        proposal, room = proposal_of(one), min(most, room_for_drafts(one))
        forced = matcher.forced()[: max(0, room)]
        if proposal.certain or forced:
            proposal.clear()
        proposal.certain = bool(forced)
        if forced:
            proposal.draft += forced
            proposal.likely = 1.0
        elif proposal.draft:
            del proposal.draft[matcher.allowed(proposal.draft) :]
            proposal.others = [one for one in proposal.others if matcher.allowed([one])]
