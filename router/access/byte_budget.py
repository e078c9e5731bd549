"""How many bytes of clients a router holds at once, and whose.

Plain accounts, by the rules of `raylax.proto.shares`; beyond the bound, what the greediest tenant
holds and has not added to for the longest time gives way.
"""

from collections.abc import Callable

from raylax.proto.errors import Overloaded
from raylax.proto.shares import ShareOf, Shares, equal

RETRY_AFTER_S = 1.0


class Holding:
    """Bytes that one call of a tenant has, until it gives all of them back."""

    def __init__(self, budget: "ByteBudget", tenant: str, revoke: Callable[[], None]) -> None:
        """`revoke`: is called when it has to give way."""
        self.tenant, self.bytes, self.revoked = tenant, 0, False
        self._budget, self._revoke = budget, revoke

    def check(self, more: int) -> None:
        """Raises Overloaded if so much could not be taken now."""
        self._budget.check(self.tenant, more)

    def take(self, more: int) -> None:
        """Raises Overloaded. After it had to give way nothing is counted: it is about to end."""
        if not self.revoked:
            self._budget.take(self, more)

    def keep(self, bytes: int) -> None:
        """Give back what is more than so many."""
        self._budget.give_back(self, max(0, self.bytes - bytes))

    def give_way(self) -> None:
        """Another tenant needs the room: the books have these bytes no more, and whoever has them
        is told to let them go."""
        self.keep(0)
        self.revoked = True
        self._revoke()


class ByteBudget:
    """The bytes of all calls together, by tenant. Used on one event loop."""

    def __init__(self, most: int, what: str, share_of: ShareOf = equal) -> None:
        """`what`: the bytes of; for messages."""
        self._shares, self._what = Shares(most, share_of), what
        self._of: dict[str, dict[Holding, None]] = {}
        """Who holds anything, by tenant; last who has taken last."""

    @property
    def most(self) -> int:
        return self._shares.total

    @property
    def used(self) -> int:
        return self._shares.used

    def of(self, tenant: str) -> int:
        """The bytes that a tenant holds."""
        return self._shares.held(tenant)

    def check(self, tenant: str, more: int) -> None:
        """Raises Overloaded if a tenant could not take so much now."""
        if more > self._shares.room(tenant):
            raise Overloaded(
                f"a router holds at most {self.most} bytes of {self._what}, it has {self.used}, "
                f"{self.of(tenant)} of them yours, and {more} more were to come",
                retry_after_s=RETRY_AFTER_S,
            )

    def take(self, holding: Holding, more: int) -> None:
        """Raises Overloaded."""
        if not more:
            return
        self.check(holding.tenant, more)
        self._shares.take(holding.tenant, more)
        held = self._of.setdefault(holding.tenant, {})
        held.pop(holding, None)
        held[holding] = None
        holding.bytes += more
        while self.used > self.most:  # so somebody else has more than their part
            next(iter(self._of[self._shares.greediest])).give_way()

    def give_back(self, holding: Holding, less: int) -> None:
        if not less:
            return
        self._shares.give_back(holding.tenant, less)
        holding.bytes -= less
        if not holding.bytes:
            held = self._of[holding.tenant]
            del held[holding]
            if not held:
                del self._of[holding.tenant]
