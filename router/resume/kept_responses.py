"""Responses that are kept for a while after they were last used, so that others go on from them.

What is kept is bounded by number and bytes, and each tenant has its part of both: a tenant that has
no room for more loses what it has not used for the longest time, and beyond the bound so does who
keeps most.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from raylax.proto.openai.responses.kept import KeptResponse
from raylax.proto.shares import ShareOf, Shares, equal


@dataclass(slots=True)
class Place:
    """What is kept of one response."""

    tenant: str
    kept: KeptResponse
    write: Callable[[], bytes] | None
    """Writes the response once it has ended; None: it has."""
    timer: asyncio.TimerHandle


class KeptResponses:
    """Those that one router keeps, by their ids. Used on one event loop."""

    def __init__(self, ttl_s: float, most: int, most_bytes: int, share_of: ShareOf = equal) -> None:
        self._ttl_s = ttl_s
        self._number, self._bytes = Shares(most, share_of), Shares(most_bytes, share_of)
        self._places: dict[str, Place] = {}
        """The one that was used last is the last one."""

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """The bytes of all."""
        return self._bytes.used

    @property
    def unless_kept(self) -> str:
        """Why a response may not be here."""
        return (
            "it was not stored, has not ended, or was deleted; or it is gone: a response is kept "
            f"for {self._ttl_s:g} s after it was last used, while there is room and its router runs"
        )

    def begin(self, id: str, tenant: str, input: bytes, write: Callable[[], bytes]) -> bool:
        """Have a place for a response that answers this; whether there is room. `write`: gives the
        response once it has ended. One that never ends goes like others that nobody uses."""
        return self._put(id, tenant, KeptResponse(input, b""), write)

    def end(self, id: str) -> None:
        """The response that has a place, if it still has one, has ended: it can be found."""
        if (place := self._places.get(id)) is not None and place.write is not None:
            self._drop(id)
            self._put(id, place.tenant, KeptResponse(place.kept.input, place.write()), None)

    def give_up(self, id: str) -> None:
        """Nothing becomes of a response, unless it has ended."""
        if (place := self._places.get(id)) is not None and place.write is not None:
            self._drop(id)

    def find(self, id: str, tenant: str) -> KeptResponse | None:
        """A tenant's response that has ended. Its time begins anew."""
        place = self._places.get(id)
        if place is None or place.tenant != tenant or place.write is not None:
            return None
        place.timer.cancel()
        self._places[id] = self._places.pop(id)
        place.timer = self._expiry(id)
        return place.kept

    def forget(self, id: str, tenant: str) -> bool:
        """Whether there was such a response of the tenant's, that had ended."""
        if self.find(id, tenant) is None:
            return False
        self._drop(id)
        return True

    def close(self) -> None:
        for id in list(self._places):
            self._drop(id)

    def _put(
        self, id: str, tenant: str, kept: KeptResponse, write: Callable[[], bytes] | None
    ) -> bool:
        if not self._take(self._number, tenant, 1):
            return False
        if not self._take(self._bytes, tenant, kept.size):
            self._number.give_back(tenant, 1)
            return False
        self._places[id] = Place(tenant, kept, write, self._expiry(id))
        for shares in (self._number, self._bytes):
            while shares.used > shares.total:
                self._drop_oldest(shares.greediest)
        return True

    def _take(self, shares: Shares, tenant: str, amount: int) -> bool:
        """Whether a tenant has room for so much, if need be in place of what it has."""
        unheld = shares.total - shares.used + shares.held(tenant)
        if amount > max(unheld, shares.part(tenant)):
            return False  # and nothing is lost for it
        while not shares.take(tenant, amount):
            self._drop_oldest(tenant)
        return True

    def _drop_oldest(self, tenant: str) -> None:
        """A tenant's that it has not used for the longest time; it must have one."""
        self._drop(next(id for id, one in self._places.items() if one.tenant == tenant))

    def _drop(self, id: str) -> None:
        place = self._places.pop(id)
        place.timer.cancel()
        self._number.give_back(place.tenant, 1)
        self._bytes.give_back(place.tenant, place.kept.size)

    def _expiry(self, id: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._ttl_s, self._drop, id)
