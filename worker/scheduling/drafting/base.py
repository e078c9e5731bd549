"""Drafts between two steps: who proposes what may follow, and what came of it."""

from collections.abc import Mapping
from collections.abc import Sequence as Several
from typing import Protocol

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.sampling.rules import PLAIN
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.outcomes import Wanted, outcomes_of, result_of
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import Work
from raylax.worker.speculation.proposals import Proposal

Drawn = Mapping[str, Several[DrawResult]]
"""What came of a step's rows, by request."""


class Proposer(Protocol):
    """Who proposes tokens for the model to verify several in a step. Whatever it proposes changes
    no token (law 1). Used by the engine thread alone."""

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        """Put into the proposal of each of these, which decode next, what may follow it: nothing,
        where that does not pay. `time`: what steps take. Must not raise."""
        ...

    def follow(self, batch: Several[Work], drawn: Drawn, output: StepOutput) -> None:
        """A step was run, and is committed next. Must not raise."""
        ...

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        """Of its draft so many tokens were verified, and the first of them were right."""
        ...


def proposal_of(one: Sequence) -> Proposal:
    """What is proposed for a sequence, from now on."""
    if one.proposal is None:
        one.proposal = Proposal()
    return one.proposal


def room_for_drafts(one: Sequence) -> int:
    """Tokens of a draft that its answer has room for, and one behind them."""
    return one.max_tokens - one.generated - 1


def learn(proposer: Proposer, counters: Counters, one: Sequence, drafted: int, right: int) -> None:
    """Of its draft so many tokens were verified, and the first of them were right."""
    proposer.learn(one, drafted, right)
    counters.verified(drafted, right)
    proposal = proposal_of(one)
    proposal.drafts += 1
    proposal.drafted += drafted
    proposal.accepted += right


def likely_tokens(
    behind: Several[tuple[Sequence, int]], output: StepOutput, sampler: Sampler
) -> list[int | None]:
    """What sequences would draw, each from its row of these logits, behind so many tokens of its
    draft; None if they are no numbers."""
    rows = [
        Wanted(one, row, ahead, one.own_rule is PLAIN) for row, (one, ahead) in enumerate(behind)
    ]
    outcomes = outcomes_of(rows, output, sampler, logprobs=False)
    return [result_of(wanted, output, outcomes.get(wanted.row)).token for wanted in rows]
