"""How much of something bounded each tenant has, so that nobody fills it for everybody.

Two rules. What nobody has may be taken by anybody: a tenant alone may have all of it. And of its
own part, by its share among the tenants that have something of it or ask for it, a tenant is never
refused: where others hold more than theirs, it gets its part beside them, at once, and they get
nothing more until they have given back.

So no more is ever taken than the total times 1 + 1/2 + … + 1/k while k tenants of equal shares have
some of it: the one that came j-th last took either what was within the total, or at most a j-th of
it. With other shares, the total times 1 + ln(all shares / the least one). Where things can be taken
back, `greediest` says from whom.
Plain arithmetic: who waits, and what a refusal says, is the matter of others.
"""

from collections.abc import Callable

from raylax.proto.ranking import Ranking

PARTS_OF_A_SHARE = 1 << 20
"""Shares are counted in whole parts, so that what is added and taken away again leaves nothing."""
ShareOf = Callable[[str], float]
"""The share of a tenant, as it stands now."""


def equal(tenant: str) -> float:
    """The share of every tenant, where none has another."""
    return 1.0


class Shares:
    """What tenants have of a total: bytes, places, or whatever is counted."""

    def __init__(self, total: int, share_of: ShareOf = equal) -> None:
        self.total, self.used = total, 0
        self._share_of = share_of
        self._held: dict[str, int] = {}
        self._weights: dict[str, int] = {}
        """Of those who have some: the share that each had when it took last."""
        self._weight = 0
        self._ranking = Ranking()

    def held(self, tenant: str) -> int:
        """How much a tenant has."""
        return self._held.get(tenant, 0)

    def part(self, tenant: str) -> int:
        """How much a tenant may have whatever others have: by its share among those that have
        some, itself counted."""
        weight = self._weight_of(tenant)
        others = self._weight - self._weights.get(tenant, 0)
        return self.total * weight // (others + weight)

    def room(self, tenant: str) -> int:
        """How much more a tenant may take now: what nobody has, or what it lacks of its part."""
        return max(self.total - self.used, self.part(tenant) - self.held(tenant), 0)

    def take(self, tenant: str, amount: int) -> bool:
        """Give a tenant so much more, if there is room for it; whether there was."""
        if amount > self.room(tenant):
            return False
        self.move_in(tenant, amount)
        return True

    def move_in(self, tenant: str, amount: int) -> None:
        """Give a tenant what it has had elsewhere, whether or not there is room for it."""
        if amount:
            self._weigh(tenant, self._weight_of(tenant))
            self.used += amount
            self._hold(tenant, self.held(tenant) + amount)

    def give_back(self, tenant: str, amount: int) -> None:
        """Take back what a tenant has taken, or some of it."""
        left = self.held(tenant) - amount
        assert amount >= 0 and left >= 0, f"{tenant} gives back {amount}, and has {left + amount}"
        self.used -= amount
        if left:
            self._hold(tenant, left)
        elif tenant in self._held:
            self._weigh(tenant, 0)
            del self._held[tenant], self._weights[tenant]
            self._ranking.discard(tenant)

    @property
    def greediest(self) -> str:
        """The tenant that has most by its share; of several the one that has had some for the
        longest time. Raises ValueError when nobody has any."""
        return self._ranking.first

    def _weight_of(self, tenant: str) -> int:
        return max(1, round(self._share_of(tenant) * PARTS_OF_A_SHARE))

    def _weigh(self, tenant: str, weight: int) -> None:
        self._weight += weight - self._weights.get(tenant, 0)
        self._weights[tenant] = weight

    def _hold(self, tenant: str, amount: int) -> None:
        self._held[tenant] = amount
        self._ranking.set(tenant, amount / self._weights[tenant])
