"""How far back a model sees: which pages of a sequence none of its layers looks at any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.pages import PAGE_SIZE, pages_for

NONE = range(0)
"""Of pages."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Of all layers together: what one of them sees is seen."""

    recent: int = 0
    """Keys up to the next token's own that are still seen, but for the sinks; 0: all, be it in one
    layer."""
    sinks: int = 0
    """How many of a sequence's first keys are seen besides, always."""

    def behind(self, computed: int) -> range:
        """Which of a sequence's pages nothing sees that follows its first so many tokens: those
        between the sinks and the window. The last full page is never among them, so that there
        is one to stand in the place of those."""
        if not self.recent:
            return NONE
        first, end = pages_for(self.sinks), (computed + 1 - max(2, self.recent)) // PAGE_SIZE
        return range(first, end) if first < end else NONE

    def longest(self, pages: Sequence[int | None]) -> int:
        """How many pages the longest beginning has of which all is there that is seen behind it.
        `pages`: of a sequence, in order; None: it is not there."""
        if not self.recent:
            return pages.index(None) if None in pages else len(pages)
        best = since = 0
        for end, page in enumerate(pages, 1):
            if page is None:
                since = end
                if end <= pages_for(self.sinks):
                    break
            elif since <= self.behind(end * PAGE_SIZE).stop:
                best = end
        return best


ALL = Sight()
