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
    tile_rows: int = 1
    """Rows that a step computes together."""
    _awaited: bool = False
    """The next step waits for the tokens before it: what that loses is lost to drafts."""

    @property
    def rests(self) -> bool:
        return self.rounds.rests and not self.speculation.length

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        self.rounds.begin(len(decodes))
        awaited, self._awaited = self._awaited, False
        if self.rests:
            for one in decodes:
                proposal_of(one).rest()
            return
        self.rounds.drafted = awaited
        self._look_up(decodes, time)

    def awaits(self, decodes: Several[Sequence], time: StepTime) -> bool:
        """While a text goes on as it once did: what is drawn next is likely what stood there."""
        if self.rests:
            return False
        self._look_up(decodes, time, drawn=1)
        found = [proposal_of(one) for one in decodes]
        self._awaited = any(proposal.draft for proposal in found)
        for proposal in found:
            proposal.clear()
        return self._awaited

    def go_on(self, decodes: Several[Sequence]) -> None:
        self.rounds.begin(len(decodes))

    def _look_up(self, decodes: Several[Sequence], time: StepTime, drawn: int = 0) -> None:
        """`drawn`: tokens of each that are not known yet."""
        context = sum([one.computed for one in decodes])
        least = least_likely(time, len(decodes), context, self.tile_rows)
        if not (self.speculation.length or self.rounds.allows):
            least = 1.0  # nothing is
        for one in decodes:
            proposal = proposal_of(one)
            proposal.tenant = one.request.tenant if self.in_others else None
            self.speculation.propose(proposal, one.tokens, room_for_drafts(one) - drawn, least)

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        self.rounds.drafted = True
        self.speculation.learn(proposal_of(one), drafted, right)

    def learn_branch(self, one: Sequence, right: bool) -> None:
        """It drafts none."""

    def follow(self, seen: Several[Seen], output: StepOutput | None) -> None:
        self.rounds.follow(seen)
