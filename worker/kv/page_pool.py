"""KV pages: who holds which, and which can be found again by their content.

A page is free, used (some sequence refers to it) or cached (none does, but its content is known).
free + cached + used = total, always (law 3). Which cached page is given up for new content, and so
whose, says `cached_pages.py`. A pinned page is used by the pool itself.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from raylax.proto.pages import router_key
from raylax.worker.kv.cached_pages import CachedPages
from raylax.worker.kv.ended_sequences import EndedSequences

MOST_PINNED = 4
"""One in so many pages may be pinned."""
NOBODY = ""
"""Whose pages are that no request has asked for, and those of requests without an API key."""


@dataclass(frozen=True, slots=True)
class PageChanges:
    """Pages that can be found now and that cannot any more, since some moment, as router keys."""

    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


class PagePool:
    """The pages of one engine, numbered from 0. Only the engine thread uses it."""

    def __init__(self, total: int, prefix_cache: bool = True, keep: int | None = None) -> None:
        """`keep`: of how many ended sequences pages are cached; None, or less than 0: of all."""
        self.total, self.prefix_cache = total, prefix_cache
        self.evicted = 0
        """Cached pages that were given up for new content, since the start."""
        self._ended = None if keep is None or keep < 0 else EndedSequences(keep)
        self._free = list(range(total - 1, -1, -1))
        self._references = [0] * total  # to each page
        self._page_of: dict[bytes, int] = {}
        self._name_of: dict[int, bytes] = {}
        self._cached = CachedPages(total)
        self._added: dict[bytes, None] = {}
        self._removed: dict[bytes, None] = {}
        self._pinned: OrderedDict[int, None] = OrderedDict()  # the oldest first

    def __repr__(self) -> str:
        return f"PagePool(free={self.free}, cached={self.cached}, used={self.used})"

    @property
    def free(self) -> int:
        """Pages with nothing that is known."""
        return len(self._free)

    @property
    def cached(self) -> int:
        """Pages that nobody refers to, and that can be found."""
        return len(self._cached)

    @property
    def used(self) -> int:
        """Pages that some sequence refers to."""
        return sum(count > 0 for count in self._references)

    @property
    def available(self) -> int:
        """Pages that `allocate` can give."""
        return len(self._free) + len(self._cached)

    def held(self, tenant: str) -> int:
        """Pages that a tenant has, used or cached."""
        return self._cached.held(tenant)

    def allocate(self, tenant: str = NOBODY, share: float = 1.0) -> int:
        """A page for new content of a tenant, whose share this is; a cached one if none is free."""
        if self._free:
            page = self._free.pop()
            self._cached.own(page, tenant, share)
        else:
            page = self._cached.give_up(tenant, share)
            self._unindex(page)
            self.evicted += 1
        self._references[page] = 1
        return page

    def find(self, names: Sequence[bytes]) -> list[int]:
        """Pages that hold the longest known beginning of these contents. Changes nothing."""
        found: list[int] = []
        for name in names:
            if (page := self._page_of.get(name)) is None:
                break
            found.append(page)
        return found

    def find_each(self, names: Sequence[bytes]) -> list[int | None]:
        """The page that holds each of these contents; None: none does. Changes nothing."""
        return [self._page_of.get(name) for name in names]

    def is_cached(self, page: int) -> bool:
        """Whether nobody refers to it, but its content can be found."""
        return page in self._cached

    def acquire(self, pages: Sequence[int], tenant: str = NOBODY, share: float = 1.0) -> None:
        """Refer to each of these pages once more: it will not be given up, and is this tenant's."""
        for page in pages:
            self._cached.own(page, tenant, share)
            self._references[page] += 1

    def index(self, page: int, name: bytes) -> None:
        """Let others find a page, which is full and will not change, by the name of its content."""
        if self.prefix_cache and name not in self._page_of and page not in self._name_of:
            self._page_of[name] = page
            self._name_of[page] = name
            note(name, self._added, unless_in=self._removed)

    def release(self, pages: Sequence[int]) -> None:
        """Refer to each of a sequence's pages once less; the later ones will be given up first."""
        for page in reversed(pages):
            self._references[page] -= 1
            if self._references[page] == 0:
                if page in self._name_of:
                    self._cached.keep(page)
                else:
                    self._set_free(page)

    def end(self, sequence: str, pages: Sequence[int]) -> None:
        """A sequence has no pages any more: refer to each once less, and free the cached ones of
        sequences that are no longer kept. What others refer to stays, and can be found."""
        self.release(pages)
        if self._ended is not None:
            for page in self._ended.end(sequence, pages):
                if self.is_cached(page):
                    self._unindex(page)
                    self._set_free(page)

    def let_go(self, pages: Sequence[int]) -> None:
        """A sequence that goes on needs these pages no more: refer to each once less. They are
        cached where those of all sequences are kept, or of one that has ended with them."""
        self.release(pages)
        for page in pages:
            kept = self._ended is None or self._ended.keeps(page)
            if not kept and self.is_cached(page):
                self._unindex(page)
                self._set_free(page)

    @property
    def pinned(self) -> int:
        """Pages that are kept whatever else needs some."""
        return len(self._pinned)

    def pin(self, names: Sequence[bytes], tenant: str = NOBODY, share: float = 1.0) -> None:
        """Keep the pages of these contents, as far as they are known. Where more than a quarter of
        all pages are pinned, those go that were pinned first."""
        for page in self.find(names):
            if page not in self._pinned:
                self.acquire([page], tenant, share)
            self._pinned[page] = None
            self._pinned.move_to_end(page)
        self.unpin_down_to(self.total // MOST_PINNED)

    def unpin_down_to(self, most: int) -> None:
        """Leave so many pages pinned at most."""
        while len(self._pinned) > max(0, most):
            page, _ = self._pinned.popitem(last=False)
            self.release([page])

    def forget(self, pages: Sequence[int]) -> None:
        """Nobody finds these pages any more: their content is bad."""
        for page in pages:
            if page in self._name_of:
                cached = self.is_cached(page)
                self._unindex(page)
                if cached:
                    self._set_free(page)

    @contextmanager
    def cache(self, names: Sequence[bytes]) -> Iterator[list[int]]:
        """New pages, one for each name, for the caller to write: afterwards they are cached under
        these names, or free again if the writing failed. At most `free` of them."""
        pages = [self.allocate() for _ in names]
        try:
            yield pages
            for page, name in zip(pages, names, strict=True):
                self.index(page, name)
        finally:
            self.release(pages)

    def drop_cached(self) -> None:
        """Free every cached page, and every pinned one that no sequence uses; nobody finds them any
        more."""
        self.unpin_down_to(0)
        for page in list(self._cached):
            self._unindex(page)
            self._set_free(page)

    def _set_free(self, page: int) -> None:
        self._cached.disown(page)
        self._free.append(page)

    def _unindex(self, page: int) -> None:
        name = self._name_of.pop(page)
        del self._page_of[name]
        note(name, self._removed, unless_in=self._added)

    def router_keys(self) -> list[int]:
        """The keys of all pages that can be found, the oldest first."""
        return [router_key(name) for name in self._page_of]

    def changes(self) -> PageChanges:
        """What can be found since the last call, and what cannot any more. What came and went in
        between is left out, so there are never more than twice the pages."""
        added, removed = (tuple(map(router_key, names)) for names in (self._added, self._removed))
        self._added.clear()
        self._removed.clear()
        return PageChanges(added, removed)


def note(name: bytes, here: dict[bytes, None], unless_in: dict[bytes, None]) -> None:
    """Write down a change, or cross out the opposite one that it takes back."""
    if name in unless_in:
        del unless_in[name]
    else:
        here[name] = None
