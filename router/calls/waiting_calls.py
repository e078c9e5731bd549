"""The calls that wait for their turn in a router: a line for each class of each tenant."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from raylax.proto.vocabulary import Priority


@dataclass(eq=False)
class WaitingCall:
    """A call that waits for its turn."""

    tenant: str
    priority: Priority
    share: float
    tokens: int
    admitted: "asyncio.Future[None]"


class WaitingCalls:
    """Calls in order of arrival, found by class and tenant."""

    def __init__(self) -> None:
        self._lines: dict[Priority, dict[str, deque[WaitingCall]]] = {one: {} for one in Priority}
        self._tokens = {one: Counter[str]() for one in Priority}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def tokens(self) -> int:
        """Of the prompts of all of them."""
        return sum(tokens.total() for tokens in self._tokens.values())

    def put(self, call: WaitingCall) -> None:
        """Behind all others of its class and tenant."""
        self._lines[call.priority].setdefault(call.tenant, deque()).append(call)
        self._tokens[call.priority][call.tenant] += call.tokens
        self._count += 1

    def __iter__(self) -> Iterator[WaitingCall]:
        return (call for of in self._lines.values() for line in of.values() for call in line)

    def discard(self, call: WaitingCall) -> None:
        """Take a call out, if it is there."""
        lines = self._lines[call.priority]
        line = lines.get(call.tenant)
        if line is None or call not in line:
            return
        line.remove(call)
        self._tokens[call.priority][call.tenant] -= call.tokens
        self._count -= 1
        if not line:
            del lines[call.tenant], self._tokens[call.priority][call.tenant]

    def tenants(self) -> dict[str, float]:
        """Who waits, with their shares."""
        every = (line[0] for lines in self._lines.values() for line in lines.values())
        return {first.tenant: first.share for first in every}

    def highest_class(self) -> Iterator[WaitingCall]:
        """Of the highest class that waits the first call of each tenant."""
        for lines in self._lines.values():
            if lines:
                yield from (line[0] for line in lines.values())
                return

    def first_of(self, tenant: str) -> WaitingCall | None:
        """The call of a tenant whose turn is first; None if none waits."""
        lines = (by_tenant.get(tenant) for by_tenant in self._lines.values())
        return next((line[0] for line in lines if line), None)

    def tokens_before(self, priority: Priority) -> Counter[str]:
        """Tokens of the calls of this class and of higher ones, by tenant."""
        return sum((self._tokens[one] for one in Priority if one <= priority), Counter[str]())
