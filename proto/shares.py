"""How much of something bounded each tenant has, so that nobody fills it for everybody.

Two rules. What nobody has may be taken by anybody: a tenant alone may have all of it. And of its
own part, an equal one for each tenant that has something of it or asks for it, a tenant is never
refused: where others hold more than theirs, it gets its part beside them, at once, and they get
nothing more until they have given back.

So no more is ever taken than the total times 1 + 1/2 + … + 1/k while k tenants have some of it: the
one that came j-th last took either what was within the total, or at most a j-th of it. Where things
can be taken back, `greediest` says from whom.
Plain arithmetic: who waits, and what a refusal says, is the matter of others.
"""


class Shares:
    """What tenants have of a total: bytes, places, or whatever is counted."""

    def __init__(self, total: int) -> None:
        self.total, self.used = total, 0
        self._held: dict[str, int] = {}

    def held(self, tenant: str) -> int:
        """How much a tenant has."""
        return self._held.get(tenant, 0)

    def part(self, tenant: str) -> int:
        """How much a tenant may have whatever others have: an equal part for each that has some,
        itself counted."""
        return self.total // (len(self._held) + (tenant not in self._held))

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
            self._held[tenant] = self.held(tenant) + amount
            self.used += amount

    def give_back(self, tenant: str, amount: int) -> None:
        """Take back what a tenant has taken, or some of it."""
        left = self.held(tenant) - amount
        assert amount >= 0 and left >= 0, f"{tenant} gives back {amount}, and has {left + amount}"
        self.used -= amount
        if left:
            self._held[tenant] = left
        else:
            self._held.pop(tenant, None)

    @property
    def greediest(self) -> str:
        """The tenant that has most; of several the one that has had some for the longest time.
        Raises ValueError when nobody has any."""
        return max(self._held, key=self._held.__getitem__)
