"""KV pages: who holds which, and which can be found again by their content.

A page is free, used (some sequence refers to it) or cached (none does, but its content is known).
free + cached + used = total, always (law 3). Cached pages are given up in the order in which they
were last used.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from raylax.proto.pages import short


@dataclass(frozen=True, slots=True)
class PageChanges:
    """What became findable and what stopped being so between two moments, as routers name it."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


class PagePool:
    """The pages of one engine. Only the engine thread uses it."""

    def __init__(self, total: int, prefix_cache: bool = True) -> None:
        self.total, self.prefix_cache = total, prefix_cache
        self._free = list(range(total - 1, -1, -1))
        self._references = [0] * total
        self._named: dict[bytes, int] = {}
        self._name_of: dict[int, bytes] = {}
        self._cached: OrderedDict[int, None] = OrderedDict()
        self._added: dict[bytes, None] = {}
        self._removed: dict[bytes, None] = {}

    def __repr__(self) -> str:
        return f"PagePool(free={self.free}, cached={self.cached}, used={self.used})"

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def cached(self) -> int:
        return len(self._cached)

    @property
    def used(self) -> int:
        return sum(count > 0 for count in self._references)

    @property
    def available(self) -> int:
        """Pages that `take` can give."""
        return len(self._free) + len(self._cached)

    def take(self) -> int:
        """A page for new content; the oldest cached one if none is free."""
        if self._free:
            page = self._free.pop()
        else:
            page, _ = self._cached.popitem(last=False)
            self._unname(page)
        self._references[page] = 1
        return page

    def find(self, names: Sequence[bytes]) -> list[int]:
        """Pages that hold the longest known beginning of these contents. Changes nothing."""
        found: list[int] = []
        for name in names:
            if (page := self._named.get(name)) is None:
                break
            found.append(page)
        return found

    def is_cached(self, page: int) -> bool:
        return page in self._cached

    def share(self, pages: Sequence[int]) -> None:
        """One more reference to each."""
        for page in pages:
            self._cached.pop(page, None)
            self._references[page] += 1

    def publish(self, page: int, name: bytes) -> None:
        """The page is full and its content will not change: others may find it."""
        if self.prefix_cache and name not in self._named and page not in self._name_of:
            self._named[name] = page
            self._name_of[page] = name
            note(name, self._added, unless_in=self._removed)

    def release(self, pages: Sequence[int]) -> None:
        """One reference less to each; the later pages of a sequence are given up first."""
        for page in reversed(pages):
            self._references[page] -= 1
            if self._references[page] == 0:
                if page in self._name_of:
                    self._cached[page] = None
                else:
                    self._free.append(page)

    @contextmanager
    def cache(self, names: Sequence[bytes]) -> Iterator[list[int]]:
        """Pages for as many contents, which whoever enters writes there: then they are cached under
        these names, or free again if that fails."""
        pages = [self.take() for _ in names]
        try:
            yield pages
            for page, name in zip(pages, names, strict=True):
                self.publish(page, name)
        finally:
            self.release(pages)

    def forget(self) -> None:
        """Drop every cached page."""
        for page in self._cached:
            self._unname(page)
            self._free.append(page)
        self._cached.clear()

    def _unname(self, page: int) -> None:
        name = self._name_of.pop(page)
        del self._named[name]
        note(name, self._removed, unless_in=self._added)

    def names(self) -> list[int]:
        """Of every page that can be found."""
        return [short(name) for name in self._named]

    def changes(self) -> PageChanges:
        """Since the last call. What came and went in between is not told, so however long nobody
        asks, there is never more to tell than twice the pages."""
        told = PageChanges(tuple(map(short, self._added)), tuple(map(short, self._removed)))
        self._added.clear()
        self._removed.clear()
        return told


def note(name: bytes, here: dict[bytes, None], unless_in: dict[bytes, None]) -> None:
    """A change, unless it takes back the opposite one."""
    if name in unless_in:
        del unless_in[name]
    else:
        here[name] = None
