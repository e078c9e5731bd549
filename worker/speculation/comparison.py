"""Whether drafts pay, by the clock: steps with them beside steps without, while both are made.

What steps take is learned, and what a draft will bring is reckoned from that (`lengths.py`). That
can be wrong for long, since who drafts in every step learns nothing of those without. So one step
in SHARE is made without. As long as drafts bring fewer tokens a second than that, nobody drafts but
for short trials, ever longer after each other: so what does not pay costs next to nothing.
"""

from dataclasses import dataclass, field

SHARE = 32
"""Steps, of which one is made without drafts, while they pay."""
TRIAL = 4
"""Steps that a trial takes."""
FIRST_PAUSE, LONGEST_PAUSE = 16, 128
"""Steps without drafts behind a trial that did not pay."""
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

    always: bool = True
    """Drafts are made in every step where they may be; else there are steps without anyway."""
    with_drafts: Pace = field(default_factory=Pace)
    without: Pace = field(default_factory=Pace)
    _pause: int = FIRST_PAUSE
    """Steps without drafts, should the next trial fail."""
    _left: int = 0
    """Steps of the pause that are left."""
    _made: int = 0
    """Steps with drafts since the last one without, or the last pause."""

    @property
    def allows(self) -> bool:
        """Whether the next step may have drafts. The first ones have none: theirs is the pace to
        beat."""
        if not self.always:
            return not self._left
        return bool(self.without.seconds) and not self._left and self._made < SHARE

    def add(self, drafted: bool, tokens: int, seconds: float) -> None:
        """A step came to so many tokens, and took so long with all that belongs to it."""
        if not drafted:
            self.without.add(tokens, seconds)
            self._left = max(0, self._left - 1)
            self._made %= SHARE
            return
        self.with_drafts.add(tokens, seconds)
        self._made += 1
        if self._made % TRIAL or not self.without.seconds:
            return
        if self.with_drafts.rate > self.without.rate:
            self._pause = FIRST_PAUSE
            return
        self._left, self._made, self.with_drafts = self._pause, 0, Pace()
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
