"""Drafts between two steps: what those who decode propose, and what came of it."""

from collections.abc import Iterable

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.decision.drafts import least_likely
from raylax.worker.scheduling.sequence import DECODE, Sequence
from raylax.worker.speculation.proposals import Proposal, Speculation


def propose(speculation: Speculation, running: Iterable[Sequence], time: StepTime) -> None:
    """Let those who decode say what may follow. `time`: what steps take."""
    decodes = [one for one in running if one.phase is DECODE and not one.request.embed]
    context = sum([one.computed for one in decodes])
    least = least_likely(time, len(decodes), context)
    for one in decodes:
        one.proposal = one.proposal or Proposal()
        most = one.max_tokens - one.generated - 1
        speculation.propose(one.proposal, one.tokens, most, least)


def learn(
    speculation: Speculation, counters: Counters, one: Sequence, drafted: int, right: int
) -> None:
    """Of its draft so many tokens were verified, and the first of them were right."""
    assert one.proposal is not None
    speculation.learn(one.proposal, drafted, right)
    counters.drafts += 1
    counters.drafted_tokens += drafted
    counters.accepted_tokens += right
    one.proposal.accepted += right
