"""Who is in an engine, by class and by tenant: for who looks at it, not for who decides."""

from collections import Counter
from typing import NamedTuple

from raylax.proto.vocabulary import Priority, Request
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import DECODE

MOST_TENANTS = 16
"""That are told apart: those with most requests. The others are one."""
OTHERS = "*"
"""Their name, which no key can have."""


class Present(NamedTuple):
    """What some have in an engine."""

    running: int = 0
    waiting: int = 0
    queued_tokens: int = 0
    """To compute before they decode."""


class Census(NamedTuple):
    """Who is there, at one moment."""

    classes: dict[str, Present]
    """By the name of the class; of each."""
    tenants: dict[str, Present]
    """By name; of those who have any."""


def census_of(roster: Roster) -> Census:
    """Looks at everyone: once a second, not in each step."""
    running, waiting, queued = Counter[str](), Counter[str](), Counter[str]()

    def count(request: Request, tokens: int, of: Counter[str]) -> None:
        for name in (f"class {request.priority.name.lower()}", f"tenant {request.tenant}"):
            of[name] += 1
            queued[name] += tokens

    for one in roster.running.values():
        count(one.request, 0 if one.phase is DECODE else one.pending, running)
    for one, tokens in roster.waiting.counted():
        count(one.request, tokens, waiting)
    there = running + waiting

    def present(name: str) -> Present:
        return Present(running[name], waiting[name], queued[name])

    tenants = sorted((name for name in there if name.startswith("tenant ")), key=there.__getitem__)
    most = tenants[-MOST_TENANTS:]
    others = [present(name) for name in tenants[:-MOST_TENANTS]]
    told = {name.removeprefix("tenant "): present(name) for name in reversed(most)}
    if others:
        told[OTHERS] = Present(*map(sum, zip(*others, strict=True)))
    classes = {one.name.lower(): present(f"class {one.name.lower()}") for one in Priority}
    return Census(classes, told)


NOBODY = Census({one.name.lower(): Present() for one in Priority}, {})
"""Of an engine without requests."""
