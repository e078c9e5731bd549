"""Which of those who wait are admitted, and who gives way to them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.bypass import Bypass
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Division
from raylax.worker.scheduling.decision.giving_way import (
    enough_of,
    giving_way,
    lower_classes,
    pages,
    pending,
    seats,
    sums,
    turns_over,
)

LOW = Priority.LOW


@dataclass(slots=True)
class Admission:
    """Admits as far as seats, pages and the tokens of a step suffice.

    Who does not fit is passed by those that do and are of no lower class, in so many steps; then it
    keeps the others waiting. Nobody passes one whose tenant has less than its due. Those who are
    not ready are passed over. Pages for all pending tokens are taken at once, so that two half-done
    prefills cannot block each other.
    """

    running: Sequence[Candidate]
    seats: int
    pages: int
    """That can be had."""
    tokens: int
    division: Division
    may_preempt: bool = True
    """Whether others may give way to who is admitted."""
    admitted: list[Candidate] = field(default_factory=list)
    give_way: list[str] = field(default_factory=list)
    """Who must, before anybody is admitted."""
    passed: list[str] = field(default_factory=list)
    """Who did not fit, before others who were admitted."""
    _bypass: Bypass = field(default_factory=Bypass)
    _wanted: int = field(init=False)
    """Tokens of the step that all want."""
    _wanted_by: dict[str, int] = field(default_factory=dict)
    """Each tenant."""
    _claims: dict[str, int] = field(default_factory=dict)
    """Seats that each tenant lacks to have its due."""

    def __post_init__(self) -> None:
        self.seats -= len(self.running)
        self._wanted = sum([one.pending for one in self.running])
        if self.division:
            self._wanted_by = sums(self.running, pending)
            self._claims = self.division.claims(sums(self.running, seats))

    def admit(self, waiting: Iterable[Candidate]) -> None:
        """Admit in this order."""
        if not self._goes_on():
            return
        giving = giving_way(self.running, self.division.seats, seats)
        for one in waiting:
            if not one.ready:
                continue
            if not self._has_tokens(one):
                return
            if self._bypass.stops(one.priority):
                return
            if one.pages_wanted > self.pages:
                self._claim_pages(one)
                if self.give_way or one.tenant in self._claims or not self._bypass.lets_pass(one):
                    return
                continue
            if self.seats <= 0:
                if (giver := self._giver(one, giving)) is None:
                    return
                self.give_way.append(giver.id)
                self.seats += 1
            self._admit(one)
            if not self._goes_on():
                return

    def _goes_on(self) -> bool:
        """Whether anybody else could be admitted."""
        if self._claims or (self.seats > 0 and self._wanted < self.tokens):
            return True
        return self._wanted < self.tokens and any(one.priority is LOW for one in self.running)

    def _has_tokens(self, one: Candidate) -> bool:
        """Whether the step has some for it: that nobody wants, or of its tenant's due."""
        if self._wanted < self.tokens:
            return True
        if one.tenant not in self._claims:
            return False
        shares = self.division.shares
        whole = sum(shares[tenant] for tenant in {*self._wanted_by, one.tenant})
        return self._wanted_by[one.tenant] < self.tokens * shares[one.tenant] / whole

    def _giver(self, one: Candidate, giving: Iterator[Candidate]) -> Candidate | None:
        """Who gives its seat to one that waits."""
        for low in lower_classes(self.running, one.priority):
            if low.id not in self.give_way:
                return low
        if one.tenant not in self._claims or not self.may_preempt:
            return None
        over = turns_over(self.running, self.division, one.tenant, recomputed=False)
        others = (giver for giver in chain(giving, over) if giver.id not in self.give_way)
        return next(others, None)

    def _claim_pages(self, one: Candidate) -> None:
        """Let others give their pages to one whose tenant has no more than its due with those, or
        whose turn has come, or that is of the highest class."""
        need = one.pages_wanted
        if not self.admitted:
            self._make_room(lower_classes(self.running, one.priority), need)
        if self.give_way or not self.division or not self.may_preempt or self.admitted:
            return
        due = self.division.pages
        if sums(self.running, pages)[one.tenant] + need <= due[one.tenant]:
            giving = giving_way(self.running, due, pages)
            self._make_room(giving, need)
        if one.tenant in self._claims and not self.give_way:
            over = turns_over(self.running, self.division, one.tenant, recomputed=True)
            self._make_room(over, need)

    def _make_room(self, giving: Iterable[Candidate], need: int) -> None:
        enough = enough_of(giving, pages, need - self.pages)
        self.give_way += [giver.id for giver in enough]

    def _admit(self, one: Candidate) -> None:
        self.seats -= 1
        self.pages -= one.pages_wanted
        self._wanted += one.pending
        self.admitted.append(one)
        self.passed = [large.id for large in self._bypass.large]
        if self.division:
            self._wanted_by[one.tenant] += one.pending
        if one.tenant in self._claims:
            self._claims[one.tenant] -= 1
            if not self._claims[one.tenant]:
                del self._claims[one.tenant]
