"""Whose pages are, and which of the cached ones is given up next: of the tenant that has most pages
by its share, used ones counted, the one that was used last the longest time ago.

So who floods an engine with prompts gives up its own, and others find what they had. A tenant
alone gives up its pages in the order in which they were last used. A page that several tenants
find, where they share prefixes, belongs to the one that began to use it last.
"""

from collections import OrderedDict
from collections.abc import Iterator

from raylax.proto.ranking import Ranking


class Holder:
    """A tenant that has pages."""

    __slots__ = ("cached", "pages", "share", "tenant")

    def __init__(self, tenant: str, share: float) -> None:
        self.tenant, self.share, self.pages = tenant, share, 0
        self.cached: OrderedDict[int, None] = OrderedDict()
        """Those of its pages that nobody refers to, the oldest first."""


class CachedPages:
    """The owner of each page that is not free, and the cached pages in the order in which they are
    given up. All of it takes constant time, but for `give_up`, which takes the logarithm of the
    number of tenants."""

    def __init__(self, total: int) -> None:
        self._owners: list[Holder | None] = [None] * total
        self._holders: dict[str, Holder] = {}
        self._ranking = Ranking()  # of those who have cached pages
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return (page for holder in self._holders.values() for page in holder.cached)

    def __contains__(self, page: int) -> bool:
        owner = self._owners[page]
        return owner is not None and page in owner.cached

    def held(self, tenant: str) -> int:
        """How many pages a tenant has, used or cached."""
        holder = self._holders.get(tenant)
        return 0 if holder is None else holder.pages

    def own(self, page: int, tenant: str, share: float) -> None:
        """A page is used, and a tenant's from now on; `share` is the tenant's as it stands now."""
        holder = self._holder(tenant, share)
        holder.pages += 1
        if self._owners[page] is not None:
            self.disown(page)
        self._owners[page] = holder
        self._rank(holder)

    def keep(self, page: int) -> None:
        """A page that nobody refers to any more is cached: the last of its owner's to go."""
        owner = self._owners[page]
        assert owner is not None, f"page {page} is nobody's"
        owner.cached[page] = None
        self._count += 1
        self._rank(owner)

    def disown(self, page: int) -> None:
        """A page is free, and nobody's."""
        owner = self._owners[page]
        assert owner is not None, f"page {page} is nobody's"
        if page in owner.cached:
            del owner.cached[page]
            self._count -= 1
        self._owners[page] = None
        owner.pages -= 1
        self._rank(owner)
        if not owner.pages:
            del self._holders[owner.tenant]

    def give_up(self, tenant: str, share: float) -> int:
        """The cached page that goes, for one more of this tenant's: that one is counted already, so
        nobody with less than its part gives way. Raises ValueError if none is cached."""
        holder = self._holder(tenant, share)
        holder.pages += 1
        self._rank(holder)
        page = next(iter(self._holders[self._ranking.first].cached))
        self.disown(page)
        self._owners[page] = holder
        return page

    def _holder(self, tenant: str, share: float) -> Holder:
        holder = self._holders.get(tenant)
        if holder is None:
            holder = self._holders[tenant] = Holder(tenant, share)
        holder.share = share
        return holder

    def _rank(self, holder: Holder) -> None:
        if holder.cached:
            self._ranking.set(holder.tenant, holder.pages / holder.share)
        else:
            self._ranking.discard(holder.tenant)
