"""Whether drafts pay, by the clock: steps with them beside steps without, while both are made.

What steps take is learned, and what a draft will bring is reckoned from that (`lengths.py`). That
can be wrong for long, since who drafts in every step learns nothing of those without. So one step
in SHARE is made without. As long as drafts bring fewer tokens a second than that, nobody drafts but
for trials. What a trial loses is a debt, and until a small share of the time has repaid it there is
no other: so what does not pay costs no more than that share, however dear a trial is, and what is
cheap to try is tried often.
"""

from dataclasses import dataclass, field

SHARE = 32
"""Steps, of which one is made without drafts, while they pay."""
TRIAL = 4
"""Steps by which a trial is judged. The one before them is not: in it, who drafts reads what it has
missed."""
BUDGET = 0.01
"""Share of the time without drafts that trials may lose."""
LONGEST_PAUSE = 4096
"""Steps within which every debt is repaid: a trial that was held up is no verdict. Who owes as much
has tried enough."""
WATCHED = 32
"""Steps before a trial that are measured, and that who drafts follows; in those before them nothing
of all this is done, so that it takes no time."""
FADE = 0.1
"""Share of what is known that a step replaces."""
MOST_TIMES = 2.0
"""So many times what is expected counts at most: what takes longer was held up by others."""


@dataclass(slots=True)
class Pace:
    """Of some steps: their tokens and seconds, both fading."""

    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Those of a step."""
        if self.tokens:
            seconds = min(seconds, MOST_TIMES * tokens * self.seconds / self.tokens)
        self.tokens += FADE * (tokens - self.tokens) if self.tokens else tokens
        self.seconds += FADE * (seconds - self.seconds) if self.seconds else seconds

    @property
    def rate(self) -> float:
        """Tokens a second; 0 if nothing is known."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Comparison:
    """Of steps in which about as many sequences decode."""

    with_drafts: Pace = field(default_factory=Pace)
    without: Pace = field(default_factory=Pace)
    _pays: bool = False
    """The last verdict."""
    _tried: int = 0
    """Steps with drafts since the last verdict."""
    _made: int = 0
    """Steps with drafts since the last one without."""
    _debt: float = 0.0
    """Seconds that drafts have lost, and that are not repaid."""

    @property
    def allows(self) -> bool:
        """Whether the next step may have drafts. The first one has none: its is the pace to
        beat."""
        if not self.without.seconds or self._made >= SHARE:
            return False
        return self._pays or self.may_try

    @property
    def may_try(self) -> bool:
        """Whether it may have some of which nobody thinks that they pay."""
        return self._debt <= 0.0 or (not self._pays and self._tried > 0)

    def rest(self) -> bool:
        """Whether the next step can go by without drafts and unmeasured, which repays, too."""
        repays = BUDGET * self.without.seconds
        if self._pays or self._tried or self._debt <= WATCHED * repays:
            return False
        self._debt -= repays
        return True

    def add(self, drafted: bool, tokens: int, seconds: float) -> None:
        """A step came to so many tokens, and took so long with all that belongs to it."""
        if not drafted:
            self.without.add(tokens, seconds)
            self._debt = max(0.0, self._debt - BUDGET * seconds)
            self._made = 0
            return
        self._made += 1
        self._tried += 1
        self._owe(tokens, seconds)
        if self._pays or self._tried > 1:
            self.with_drafts.add(tokens, seconds)
        if self._tried > (1 if self._debt >= self._most_owed else TRIAL) and self.without.seconds:
            self._tried = 0
            self._pays = self.with_drafts.rate > self.without.rate
            if not self._pays:
                self.with_drafts = Pace()

    def _owe(self, tokens: int, seconds: float) -> None:
        """What a step with drafts took more than its tokens would have without; less repays."""
        if self.without.seconds:
            self._debt += seconds - tokens / self.without.rate
            self._debt = min(max(0.0, self._debt), self._most_owed)

    @property
    def _most_owed(self) -> float:
        return LONGEST_PAUSE * BUDGET * self.without.seconds
