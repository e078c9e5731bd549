"""How often drafts are right: learned from each sequence, and from all for those that are new."""

from dataclasses import dataclass, field

FADE, FADE_OF_ALL = 0.2, 0.02
"""Share of what is known that each drafted token replaces: of a sequence, and of all of them."""
FORGET = 0.01
"""Share of what a sequence has shown that is forgotten with each token that it makes without a
draft: text changes, so it is tried again now and then."""
WORTH = 1.0
"""Drafted token: so much does a sequence count as it begins, as others did whose last tokens had
been seen before for as long."""
LENGTHS = (4, 6, 10, 18)
"""Of matches: below the first, below the second, and so on are one class each."""
AT_FIRST = 0.5
"""Of what nothing is known yet."""


def class_of(matched: int) -> int:
    """Of a draft that follows so many tokens that stood there before."""
    return sum(matched >= length for length in LENGTHS)


@dataclass(slots=True)
class Record:
    """Of drafted tokens that were looked at: how many there were, and how many were right. Both
    fade."""

    tried: float = 0.0
    right: float = 0.0
    fade: float = FADE

    def add(self, tried: int, right: int) -> None:
        """A draft of which the first `right` tokens were drawn."""
        for at in range(tried):
            self.tried += 1.0 - self.fade * self.tried
            self.right += (at < right) - self.fade * self.right

    def forget(self) -> None:
        """A token came without a draft."""
        self.tried *= 1.0 - FORGET
        self.right *= 1.0 - FORGET

    def share(self, otherwise: float) -> float:
        """How likely the next token of a draft is right if those before it are; `otherwise`: what
        is thought where nothing was tried."""
        return (self.right + WORTH * otherwise) / (self.tried + WORTH)


@dataclass(slots=True)
class Experience:
    """Of all sequences of an engine, by how long their drafts' matches were."""

    _records: list[Record] = field(
        default_factory=lambda: [Record(fade=FADE_OF_ALL) for _ in (*LENGTHS, 0)]
    )

    def add(self, matched: int, tried: int, right: int) -> None:
        """A draft of which the first `right` tokens were drawn."""
        self._records[class_of(matched)].add(tried, right)

    def likely(self, matched: int, own: Record) -> float:
        """How likely each next token of a draft is right, for a sequence with this record."""
        return own.share(self._records[class_of(matched)].share(AT_FIRST))
