"""The requests that a router carries at once, those that wait included: each has a place, and each
tenant a part of the places."""

from collections.abc import Iterator
from contextlib import contextmanager

from raylax.proto.errors import InvalidRequest, Overloaded
from raylax.proto.shares import ShareOf, Shares, equal

RETRY_AFTER_S = 1.0


class Places:
    """The places of one router. Used on one event loop."""

    def __init__(self, total: int, share_of: ShareOf = equal) -> None:
        self._shares = Shares(total, share_of)

    def __len__(self) -> int:
        """How many are taken."""
        return self._shares.used

    def check(self, tenant: str, more: int) -> None:
        """Raises Overloaded when there is no room for so many more requests of a tenant, and
        InvalidRequest when there never is."""
        total, room = self._shares.total, self._shares.room(tenant)
        if more > total:
            raise InvalidRequest(
                f"a router carries at most {total} requests at once, this call comes to {more}: "
                "one for each prompt and choice"
            )
        if more > room:
            raise Overloaded(
                f"a router carries at most {total} requests at once, there is room for {room} more "
                f"of yours and {more} were asked for",
                retry_after_s=RETRY_AFTER_S,
            )

    @contextmanager
    def taken(self, tenant: str, count: int, again: bool = False) -> Iterator[None]:
        """Places for so many requests of a tenant, while they are on their way. Raises as `check`,
        but for what was let in before, `again`."""
        if not again:
            self.check(tenant, count)
        self._shares.move_in(tenant, count)
        try:
            yield
        finally:
            self._shares.give_back(tenant, count)
