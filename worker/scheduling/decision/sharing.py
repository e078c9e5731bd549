"""Who waits for the pages that another is about to fill: equal prompts that come together are
computed once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Filling(NamedTuple):
    """A prompt that is being computed, or will be before others."""

    names: Sequence[Any]
    """Of its pages, in order; each tells of all that stands before its end."""
    tenant: str = ""


@dataclass(slots=True)
class Sharing:
    """Of one step: asked of each who waits and is ready, in order of service."""

    filling: list[Filling]
    """Those that are being computed."""
    most: int
    """So many are held back at most: each takes some microseconds of every step."""
    _held_back: int = 0

    def holds_back(self, names: Sequence[Any], found: int, tenant: str = "") -> bool:
        """Whether this one waits for others' pages; else those behind it may wait for its own.
        `found`: how many of its pages are known."""
        if is_filled_by_others(names, found, self.filling, tenant):
            self._held_back += 1
            return True
        self.filling.append(Filling(names, tenant))
        return False

    @property
    def is_over(self) -> bool:
        """So many were held back that nobody behind them is looked at."""
        return self._held_back > self.most


def is_filled_by_others(
    names: Sequence[Any], found: int, filling: Iterable[Filling], tenant: str = ""
) -> bool:
    """Whether the page behind the `found` first ones of a prompt, which are known, is about to be
    filled for somebody of its tenant. Then it need not be computed again. It never waits in vain:
    who fills pages gets on with each step, or is gone."""
    return found < len(names) and any(
        found < len(one.names) and one.names[found] == names[found] and one.tenant == tenant
        for one in filling
    )
