"""Drafts by looking the last tokens up in the text so far."""

from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.drafts import least_likely
from raylax.worker.scheduling.drafting.base import Seen, proposal_of, room_for_drafts
from raylax.worker.scheduling.drafting.rounds import Rounds
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.speculation.proposals import Speculation


@dataclass
class Lookup:
    """Proposes what once followed the same tokens in the same text, or in another one of its
    tenant's."""

    speculation: Speculation = field(default_factory=Speculation)
    rounds: Rounds = field(default_factory=Rounds)
    in_others: bool = False
    """Whether other texts of the tenant's are looked up."""

    @property
    def rests(self) -> bool:
        return self.rounds.rests and not self.speculation.length

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        self.rounds.begin(len(decodes))
        if self.rests:
            for one in decodes:
                proposal_of(one).rest()
            return
        context = sum([one.computed for one in decodes])
        least = least_likely(time, len(decodes), context)
        if not (self.speculation.length or self.rounds.allows):
            least = 1.0  # nothing is
        for one in decodes:
            proposal = proposal_of(one)
            proposal.tenant = one.request.tenant if self.in_others else None
            self.speculation.propose(proposal, one.tokens, room_for_drafts(one), least)

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        self.rounds.drafted = True
        self.speculation.learn(proposal_of(one), drafted, right)

    def learn_branch(self, one: Sequence, right: bool) -> None:
        """It drafts none."""

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        self.rounds.follow(seen)
