"""What each sequence proposes for the next step, and what came of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from raylax.worker.config import MOST_DRAFTED
from raylax.worker.speculation.acceptance import Experience, Record
from raylax.worker.speculation.ngrams import NGrams
from raylax.worker.speculation.recent import Match, RecentTexts, Text


@dataclass(slots=True)
class Proposal:
    """Of one sequence, and all that is remembered for the next one."""

    draft: list[int] = field(default_factory=list)
    """Tokens that may follow."""
    likely: float = 0.0
    """How likely each of them is right, if those before it are."""
    certain: bool = False
    """The draft must follow, and was proposed by nobody."""
    accepted: int = 0
    """Tokens that were proposed so far, and right."""
    drafts: int = 0
    """Steps so far that verified some."""
    drafted: int = 0
    """Tokens that those verified."""
    text: NGrams = field(default_factory=NGrams)
    tenant: str | None = None
    """Whose other texts may be looked up; None: nobody's."""
    elsewhere: Match | None = None
    """Where one of those goes on as this one does."""
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

    def rest(self) -> None:
        """Nothing is proposed, and nobody follows what becomes of it."""
        self.clear()
        self.streams = None

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
    recent: RecentTexts = field(default_factory=RecentTexts)

    def propose(self, one: Proposal, tokens: Sequence[int], most: int, least: float) -> None:
        """Draft at most so many tokens that may follow these; none that is less than `least`
        likely to be drawn, unless drafts have a fixed length."""
        one.draft.clear()
        if self.length:
            least = 0.0
        if most <= 0 or least >= 1 or one.record.share(1.0) < least:
            one.record.forget()
            return
        is_new = not one.text.told
        one.text.tell(tokens)
        if is_new and one.tenant is not None:
            self.recent.remember(one.tenant, Text(one.text, tokens))
        matched = self._matched(one, tokens)
        one.likely = 1.0 if self.length else self.experience.likely(matched, one.record)
        if matched and one.likely > least:
            count = min(most, self.length or worth(one.likely, least))
            if one.elsewhere is None:
                one.draft += one.text.draft(tokens, count)
            else:
                one.draft += one.elsewhere.tokens[one.elsewhere.at : one.elsewhere.at + count]
        if not one.draft:
            one.record.forget()

    def _matched(self, one: Proposal, tokens: Sequence[int]) -> int:
        """How many of its last tokens stood before, in the same text or, if not there, in another
        one of its tenant's."""
        if one.text.matched or one.tenant is None:
            one.elsewhere = None
            return one.text.matched
        if one.elsewhere is None or not one.elsewhere.follow(tokens):
            one.elsewhere = self.recent.find(one.tenant, one.text, len(tokens))
        return 0 if one.elsewhere is None else one.elsewhere.length

    def learn(self, one: Proposal, drafted: int, right: int) -> None:
        """Of its draft so many tokens were verified, and the first of them were right."""
        tried = min(right + 1, drafted)
        one.record.add(tried, right)
        matched = one.text.matched or (one.elsewhere.length if one.elsewhere else 0)
        self.experience.add(matched, tried, right)


def worth(likely: float, least: float) -> int:
    """The tokens of a draft up to the last that is likely enough if all before it are right."""
    if likely >= 1 or least <= 0:
        return MOST_DRAFTED
    return min(MOST_DRAFTED, int(math.log(least) / math.log(likely)))
