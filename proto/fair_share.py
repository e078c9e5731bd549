"""Fair shares of tenants, for the queues of routers and engines: counters of what each has had.

A token of a prompt counts one, a generated one two, which is about what they cost; who counts
divides them by the tenant's share. Who has had least is served next, so tenants that keep everybody
busy get tokens as their shares are, whatever they send.
Nobody saves up: who has asked for nothing comes back with no less than those who wait
("Fairness in Serving Large Language Models", Sheng et al., OSDI 2024).
"""

GENERATED = 2
"""What a generated token counts; one of a prompt counts 1."""
REMEMBERED = 4096
"""How many tenants are remembered; beyond that those who lose nothing by it are forgotten."""


class FairShareCounters:
    """Weighted tokens that each tenant has had. They only grow."""

    def __init__(self) -> None:
        self._had: dict[str, float] = {}
        self._room = REMEMBERED

    def __getitem__(self, tenant: str) -> float:
        return self._had.get(tenant, 0)

    def __len__(self) -> int:
        return len(self._had)

    def charge(self, tenant: str, tokens: float) -> None:
        """Count what a tenant has had: weighted tokens, divided by its share."""
        self._had[tenant] = self[tenant] + tokens

    def lift(self, tenant: str, least: float) -> None:
        """Count `least` for a tenant that comes back with less: those who stayed have had that."""
        if self[tenant] < least:
            self._had[tenant] = least
        if len(self._had) > self._room:
            self._had = {one: had for one, had in self._had.items() if had >= least}
            self._room = max(REMEMBERED, 2 * len(self._had))

    def clear(self) -> None:
        """Forget everybody, when nobody waits and so nobody can come before another."""
        self._had.clear()
