"""What is due to each tenant of an engine, by its share: whole seats, pages and tokens.

It is work-conserving: who wants less than its due leaves the rest to those who want more. An engine
of one tenant has nothing to divide.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from raylax.proto.vocabulary import Request

TenantShares = Mapping[str, float]
"""Of tenants; more than 0 each."""
Amounts = Mapping[str, int]
"""Of seats, pages or tokens, by tenant."""


class PresentTenants:
    """The tenants of whom something is there, and their shares as they were said last."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def count(self, request: Request, times: int) -> None:
        """A request has come, 1, or gone, -1."""
        tenant = request.tenant
        self._counts[tenant] = now = self._counts.get(tenant, 0) + times
        if now:
            self.shares[tenant] = request.share
        else:
            del self.shares[tenant], self._counts[tenant]


@dataclass(frozen=True, slots=True)
class Division:
    """An engine divided among the tenants that want some of it now: something of theirs runs, or
    waits and lacks nothing but room. Empty, and false, unless there are several."""

    shares: TenantShares = field(default_factory=dict)
    seats: Amounts = field(default_factory=dict)
    """What is due to each."""
    pages: Amounts = field(default_factory=dict)
    had: Mapping[str, float] = field(default_factory=dict)
    """What each has had of the engine so far, in tokens by its share."""
    waiting: Collection[str] = ()
    """Of whom something waits that lacks nothing but room."""

    @classmethod
    def among(
        cls,
        running: TenantShares,
        waiting: TenantShares,
        seats: int,
        pages: int,
        had: Mapping[str, float],
    ) -> "Division":
        """So many seats and pages, by the shares of those who run and of those who wait."""
        if len(shares := {**running, **waiting}) < 2:
            return ALONE
        return cls(shares, dues(seats, shares), dues(pages, shares), had, tuple(waiting))

    def __bool__(self) -> bool:
        return bool(self.shares)

    def claims(self, held: Amounts) -> dict[str, int]:
        """How many seats each tenant that waits lacks to hold its due."""
        lacks = {tenant: self.seats[tenant] - held.get(tenant, 0) for tenant in self.waiting}
        return {tenant: lack for tenant, lack in lacks.items() if lack > 0}


ALONE = Division()


def dues(total: int, shares: TenantShares) -> dict[str, int]:
    """What is due to each of a total: its part, rounded down, but one at least."""
    whole = sum(shares.values())
    return {tenant: max(1, int(total * share / whole)) for tenant, share in shares.items()}


def divided(total: int, wanted: Amounts, shares: TenantShares) -> dict[str, int]:
    """What each gets of a total: what it wants, but by their shares where that is too much. Nobody
    who wants some gets nothing, unless there are more of them than there is to divide."""
    if len(wanted) < 2 or sum(wanted.values()) <= total:
        return {tenant: min(amount, total) for tenant, amount in wanted.items()}
    given, left = dict[str, int](), total
    weight, waiting = sum(shares[tenant] for tenant in wanted), len(wanted)
    for tenant in sorted(wanted, key=lambda tenant: wanted[tenant] / shares[tenant]):
        waiting -= 1
        part = int(left * shares[tenant] / weight) if waiting else left
        given[tenant] = min(wanted[tenant], max(1, min(part, left - waiting)), left)
        left -= given[tenant]
        weight -= shares[tenant]
    return given
