"""KV pages: who holds which, and which can be found again by their content.

A page is free, used (some sequence refers to it) or cached (none does, but its content is known).
free + cached + used = total, always (law 3). Cached pages are given up in the order in which they
were last used.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

PAGE_SIZE = 16
ROOT = b""


def chain(parent: bytes, tokens: Sequence[int]) -> bytes:
    """Name of a full page by its tokens and all tokens before them."""
    return hashlib.blake2b(parent + array("i", tokens).tobytes(), digest_size=16).digest()


class PagePool:
    """The pages of one engine. Only the engine thread uses it."""

    def __init__(self, total: int, prefix_cache: bool = True) -> None:
        self.total, self.prefix_cache = total, prefix_cache
        self._free = list(range(total - 1, -1, -1))
        self._references = [0] * total
        self._named: dict[bytes, int] = {}
        self._name_of: dict[int, bytes] = {}
        self._cached: OrderedDict[int, None] = OrderedDict()

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
            del self._named[self._name_of.pop(page)]
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

    def release(self, pages: Sequence[int]) -> None:
        """One reference less to each; the later pages of a sequence are given up first."""
        for page in reversed(pages):
            self._references[page] -= 1
            if self._references[page] == 0:
                if page in self._name_of:
                    self._cached[page] = None
                else:
                    self._free.append(page)

    def forget(self) -> None:
        """Drop every cached page."""
        for page in self._cached:
            del self._named[self._name_of.pop(page)]
            self._free.append(page)
        self._cached.clear()
