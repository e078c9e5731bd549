"""What came of the drafts of a step: who is told, what counts, and where each sequence goes on."""

from collections.abc import Sequence as Several

from raylax.kernels.model import StepOutput
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.scheduling.branches import Branch, take
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.drafting.base import Proposer, Seen, proposal_of
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import Work

Drawn = dict[str, list[DrawResult]]
"""What came of a step's rows, by request."""


def verify(
    proposer: Proposer,
    counters: Counters,
    holdings: Holdings,
    batch: Several[Work],
    branches: Several[Branch],
    drawn: Drawn,
    output: StepOutput | None,
) -> None:
    """Tell a proposer what came of a step, whose branches lie behind its batch. Where a branch was
    right and the draft was not, its tokens are put into `drawn`, and its sequence takes it.
    `output`: as `Proposer.follow` is given it."""
    seen, at, row = dict[str, Seen](), 0, 0
    for one, count, wanted in batch:
        results = len(drawn.get(one.request.id, ()))
        right = count + results - wanted if wanted else count
        seen[one.request.id] = Seen(one, at, right, row + results - 1 if results else None)
        if wanted > 1 and one.unread <= 0 and not proposal_of(one).certain:
            proposer.learn(one, wanted - 1, results - 1)
            note(counters, one, wanted - 1, results - 1)
        at, row = at + count, row + wanted
    missed = dict[str, Sequence]()
    for branch in branches:
        one, id = branch.one, branch.one.request.id
        if len(drawn[id]) == 1:  # the draft was wrong at once, and so were other branches
            missed[id], found = one, branch.drawn
            note(counters, one, len(branch.draft), len(found) - 1)
            if len(found) > 1:
                first = at + one.computed - branch.computed
                drawn[id] = found
                seen[id] = Seen(one, first, len(found), row + len(found) - 1)
                take(holdings, branch)
        at, row = at + branch.count, row + branch.wanted
    for id, one in missed.items():
        proposer.learn_branch(one, len(drawn[id]) > 1)
    proposer.follow(list(seen.values()), output)


def note(counters: Counters, one: Sequence, drafted: int, right: int) -> None:
    """Of a draft so many tokens were verified, and the first of them were right."""
    counters.verified(drafted, right)
    proposal = proposal_of(one)
    proposal.drafts += 1
    proposal.drafted += drafted
    proposal.accepted += right
