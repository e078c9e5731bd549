"""Who waits for the pages that another is about to fill: equal prompts that come together are
computed once."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Filling(NamedTuple):
    """A prompt that is being computed, or will be before others."""

    names: Sequence[Any]
    """Of its pages, in order; each tells of all that stands before its end."""
    tenant: str = ""


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
