"""When a model drafts, for whom, and how much; and what happens when it cannot."""

import logging
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Protocol

from raylax.kernels.model import StepOutput
from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import StepTime
from raylax.worker.config import MOST_DRAFTED
from raylax.worker.scheduling.drafting.base import Seen, proposal_of, room_for_drafts
from raylax.worker.scheduling.drafting.rounds import Rounds
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.speculation.acceptance import AT_FIRST, FADE_OF_ALL, Record
from raylax.worker.speculation.lengths import Offer, draft_lengths

log = logging.getLogger(__name__)

PAYS_BACK = 32
"""Drafts among which the work is shared that has to be done before the first."""
BRANCH_ROWS = PAGE_SIZE // 2 + 2
"""Rows of a step that a branch of one token takes, on average."""


class Drafter(Protocol):
    """A model that drafts."""

    @property
    def time(self) -> StepTime:
        """What its steps take, of which each token of a draft needs one."""
        ...

    @property
    def most(self) -> int:
        """Tokens of a draft."""
        ...

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> None:
        """Put so many tokens into the proposal of each, or fewer where it has no more to say."""
        ...

    width: int
    """Tokens that it proposes for the first position of a draft."""

    @property
    def reads(self) -> bool:
        """Whether it goes on from what the engine's model computes: of steps that it has not
        followed nothing is there to go on from."""
        ...

    def behind(self, one: Sequence) -> int | None:
        """Tokens that it has to compute before it can draft for this one; None: it cannot."""
        ...

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        """A step was run, and is committed next."""
        ...


@dataclass
class ModelProposer:
    """Lets a model draft as much as pays."""

    drafter: Drafter | None
    """None: it has failed, and nothing is drafted any more."""
    length: int = 0
    """Of each draft; 0: as long as it pays."""
    width: int = 1
    """Tokens that are proposed for the first position of a draft, at most."""
    tile_rows: int = 1
    """Rows that the step that verifies computes together."""
    experience: Record = field(default_factory=lambda: Record(fade=FADE_OF_ALL))
    """Of all sequences."""
    beside: Record = field(default_factory=lambda: Record(fade=FADE_OF_ALL))
    """Of the tokens beside first ones that were wrong."""
    rounds: Rounds = field(default_factory=Rounds)

    @property
    def rests(self) -> bool:
        return self.drafter is None or (self.rounds.rests and not self.length)

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        self.rounds.begin(len(decodes))
        drafter = self.drafter
        if drafter is None or self.rests:
            for one in decodes:
                proposal_of(one).rest()
            return
        for one in decodes:
            proposal_of(one).clear()
        try:
            wanted = self._wanted(drafter, decodes, time)
            if wanted:
                drafter.draft(wanted)
        except Exception:
            self._give_up()
            for one in decodes:
                proposal_of(one).clear()
            return
        self.rounds.drafted = bool(wanted)
        for one in decodes:
            if not proposal_of(one).draft:
                proposal_of(one).record.forget()

    def awaits(self, decodes: Several[Sequence], time: StepTime) -> bool:
        """While drafts pay, or are tried; and who reads what is computed awaits it until it
        rests."""
        if self.drafter is None or self.rests:
            return False
        if self.drafter.reads:
            return any(room_for_drafts(one) > 0 for one in decodes)
        try:
            return bool(self._wanted(self.drafter, decodes, time))
        except Exception:
            self._give_up()
            return False

    def go_on(self, decodes: Several[Sequence]) -> None:
        self.rounds.begin(len(decodes))
        for one in decodes:
            proposal_of(one).record.forget()
            proposal_of(one).streams = None  # it may not be followed

    def follow(self, seen: Several[Seen], output: StepOutput | None) -> None:
        if self.drafter is None:
            return
        self.rounds.follow(seen)
        if output is None:
            for each in seen:
                proposal_of(each.one).streams = None
            return
        try:
            self.drafter.follow(seen, output)
        except Exception:
            self._give_up()

    def learn(self, one: Sequence, drafted: int, right: int) -> None:
        tried = min(right + 1, drafted)
        proposal_of(one).record.add(tried, right)
        self.experience.add(tried, right)

    def learn_branch(self, one: Sequence, right: bool) -> None:
        self.beside.add(1, int(right))

    def _branches_pay(self, decodes: Several[Sequence], time: StepTime) -> bool:
        """Whether a token beside the first one of a draft brings more than it takes: one token,
        where that one is wrong and this one is not, for the rows of half a page and two more."""
        context = sum([one.computed for one in decodes])
        seconds = time.seconds(0, len(decodes), context)
        likely = min([proposal_of(one).record.share(AT_FIRST) for one in decodes])
        brings = (1 - likely) * self.beside.share(AT_FIRST)
        return brings * seconds > len(decodes) * BRANCH_ROWS * time.c

    def _asked(self, decodes: Several[Sequence]) -> Several[Sequence]:
        """Those for whom it is reckoned what a draft would bring: nobody while drafts do not pay by
        the clock, for that takes time, too."""
        if self.length or self.rounds.allows:
            return decodes
        return ()

    def _wanted(
        self, drafter: Drafter, decodes: Several[Sequence], time: StepTime
    ) -> list[tuple[Sequence, int]]:
        """For whom to draft, and how many tokens. Each is told how likely they are right."""
        offers, able = list[Offer](), list[Sequence]()
        usual = self.experience.share(AT_FIRST)
        for one in self._asked(decodes):
            room, behind = min(room_for_drafts(one), drafter.most), drafter.behind(one)
            if room <= 0 or behind is None:
                continue
            likely = proposal_of(one).record.share(usual)
            proposal_of(one).likely = 1.0 if self.length else likely
            before_s = drafter.time.b * behind / PAYS_BACK
            offers.append(Offer(likely, room, one.computed, before_s))
            able.append(one)
        if self.length:
            counts = fixed_lengths([min(offer.most, self.length) for offer in offers])
        else:
            counts = draft_lengths(offers, time, drafter.time, MOST_DRAFTED, self.tile_rows)
            if able and not any(counts) and self.rounds.may_try and time.seconds(0, 1, 0) > 0:
                cheapest = min(range(len(able)), key=lambda at: offers[at].before_s)
                counts[cheapest] = 1  # text changes
                proposal_of(able[cheapest]).likely = 1.0
        wanted = [(one, count) for one, count in zip(able, counts, strict=True) if count]
        branches = self.length or (wanted and self._branches_pay(able, time))
        drafter.width = self.width if branches else 1
        return wanted

    def _give_up(self) -> None:
        log.exception("drafting has failed, and the engine goes on without drafts")
        self.drafter = None


def fixed_lengths(most: list[int]) -> list[int]:
    """As many as each may have, as far as a step verifies them: the first ones first."""
    left, counts = MOST_DRAFTED, []
    for count in most:
        counts.append(min(count, left))
        left -= counts[-1]
    return counts
