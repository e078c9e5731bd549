"""What each sequence proposes for the next step, and what came of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from raylax.worker.config import MOST_DRAFTED
from raylax.worker.speculation.acceptance import Experience, Record
from raylax.worker.speculation.ngrams import NGrams


@dataclass(slots=True)
class Proposal:
    """Of one sequence, and all that is remembered for the next one."""

    draft: list[int] = field(default_factory=list)
    """Tokens that may follow."""
    likely: float = 0.0
    """How likely each of them is right, if those before it are."""
    accepted: int = 0
    """Tokens that were proposed so far, and right."""
    drafts: int = 0
    """Steps so far that verified some."""
    drafted: int = 0
    """Tokens that those verified."""
    text: NGrams = field(default_factory=NGrams)
    others: list[int] = field(default_factory=list)
    """Tokens that may follow in the place of the draft's first one."""
    standing: object = None
    """What a model that drafts knows of it while it has its pages."""
    streams: object = None
    """What a head keeps of it until it reads it, as long."""
    record: Record = field(default_factory=Record)

    def clear(self) -> None:
        """Nothing is proposed."""
        self.draft.clear()
        self.others.clear()

    def take_branch(self) -> None:
        """One of the others was drawn: its sequence has other pages behind the full ones."""
        self.standing = None

    def give_back(self) -> None:
        """Its sequence has no pages any more, and is computed anew."""
        self.standing = self.streams = None


@dataclass(slots=True)
class Speculation:
    """What an engine proposes for its sequences."""

    length: int = 0
    """Of each draft; 0: as long as it pays."""
    experience: Experience = field(default_factory=Experience)

    def propose(self, one: Proposal, tokens: Sequence[int], most: int, least: float) -> None:
        """Draft at most so many tokens that may follow these; none that is less than `least`
        likely to be drawn, unless drafts have a fixed length."""
        one.draft.clear()
        if self.length:
            least = 0.0
        if most <= 0 or least >= 1 or one.record.share(1.0) < least:
            one.record.forget()
            return
        one.text.tell(tokens)
        one.likely = 1.0 if self.length else self.experience.likely(one.text.matched, one.record)
        if one.text.matched and one.likely > least:
            one.draft += one.text.draft(tokens, min(most, self.length or worth(one.likely, least)))
        if not one.draft:
            one.record.forget()

    def learn(self, one: Proposal, drafted: int, right: int) -> None:
        """Of its draft so many tokens were verified, and the first of them were right."""
        tried = min(right + 1, drafted)
        one.record.add(tried, right)
        self.experience.add(one.text.matched, tried, right)


def worth(likely: float, least: float) -> int:
    """The tokens of a draft up to the last that is likely enough if all before it are right."""
    if likely >= 1 or least <= 0:
        return MOST_DRAFTED
    return min(MOST_DRAFTED, int(math.log(least) / math.log(likely)))
