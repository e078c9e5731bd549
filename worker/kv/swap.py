"""Pages of sequences that gave way, in host memory until those come back: bounded, by sequence.

Whose pages are not there is computed again. It holds contents, and refers to no page of the pool.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Read = Callable[[Sequence[int]], list[bytes]]
"""Contents of these pages, on all ranks."""
Write = Callable[[Sequence[int], Sequence[bytes]], None]


class Aside(NamedTuple):
    """What is kept of a sequence."""

    tokens: int
    """Its first ones."""
    contents: list[bytes]
    """Of their pages, in order; what lies behind the last token counts for nothing."""


@dataclass(slots=True)
class Swap:
    """Of one engine; used by the engine thread alone. Whatever copies raises EngineLost."""

    read: Read
    write: Write
    most: int
    """Pages."""
    page_s: float
    """Seconds that a page takes, out and back together."""
    used: int = 0
    """Pages that are kept."""
    _aside: dict[str, Aside] = field(default_factory=dict)
    """By the id of a request."""

    @property
    def free(self) -> int:
        """Pages for which there is room."""
        return self.most - self.used

    def put_aside(self, request_id: str, pages: Sequence[int], tokens: int) -> None:
        """Keep these pages, which hold the first so many tokens of a sequence; that there is room
        was decided before."""
        self._aside[request_id] = Aside(tokens, self.read(pages))
        self.used += len(pages)

    def tokens(self, request_id: str) -> int:
        """How many tokens of a sequence are kept, its first ones."""
        aside = self._aside.get(request_id)
        return 0 if aside is None else aside.tokens

    def put_back(self, request_id: str, pages: Sequence[int], first: int) -> None:
        """Write what is kept of a sequence, from its page `first` on, into these pages."""
        contents = self._aside[request_id].contents
        self.write(pages, contents[first : first + len(pages)])

    def drop(self, request_id: str) -> None:
        """Nothing is kept of a sequence any more; one of which nothing was is no error."""
        if (aside := self._aside.pop(request_id, None)) is not None:
            self.used -= len(aside.contents)


def no_swap() -> Swap:
    """Of an engine that keeps nothing: whoever gives way is computed again."""
    return Swap(lambda pages: [], lambda pages, contents: None, most=0, page_s=0.0)
