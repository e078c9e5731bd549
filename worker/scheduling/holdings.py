"""What sequences hold of the pool: pages that are found, taken, named when they are full, and given
back, at the end or when nothing sees them any more. Every reference to a page that a sequence has
comes and goes here (law 3)."""

from dataclasses import dataclass, field
from typing import NamedTuple

from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.kv.sight import ALL, NONE, Sight
from raylax.worker.kv.swap import Swap, no_swap
from raylax.worker.scheduling.sequence import Sequence, ints


class Found(NamedTuple):
    """What is known of a sequence's beginning."""

    tokens: int
    held: list[int]
    """Its pages in the pool, as far as anything sees them that follows. Where those are of fewer
    tokens, the others are in host memory."""
    behind: range
    """Where it has others, which need not be there."""

    @property
    def table(self) -> list[int]:
        """A page for each place: of those behind the next one that is seen."""
        at = self.behind.start
        return [*self.held[:at], *self.held[at : at + 1] * len(self.behind), *self.held[at:]]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The pages of sequences, in a pool."""

    pool: PagePool
    sight: Sight = ALL
    swap: Swap = field(default_factory=no_swap)
    """What is kept of those who gave way."""

    def find(self, one: Sequence) -> Found:
        """Its known beginning; at least its last token is computed, for its logits, and all tokens
        of which a state is still to be read."""
        most = len(one.tokens) - 1
        if one.pooled is not None:
            most = min(most, one.pooled.tokens)
        names = one.name_pages(most) if self.pool.prefix_cache else []
        if not self.sight.recent:
            pages, aside = self.pool.find(names), min(most, self.swap.tokens(one.request.id))
            return Found(max(len(pages) * PAGE_SIZE, aside), pages, NONE)
        there = self.pool.find_each(names)
        count = self.sight.longest(there)
        behind = self.sight.behind(count * PAGE_SIZE)
        seen = enumerate(there[:count])
        held = [page for at, page in seen if page is not None and at not in behind]
        return Found(count * PAGE_SIZE, held, behind)

    def known(self, one: Sequence) -> int:
        """Tokens of its known beginning, as it is now."""
        return self.find(one).tokens

    def take_known(self, one: Sequence) -> int:
        """Let a sequence that holds nothing begin behind what is known of it; how many of its pages
        come back from host memory. Raises EngineLost."""
        found = self.find(one)
        self.pool.acquire(found.held, one.request.tenant, one.request.share)
        one.pages, one.computed, one.behind = ints(found.table), found.tokens, found.behind
        self.reserve(one, one.computed)
        if back := one.pages[len(found.table) :]:
            self.swap.put_back(one.request.id, back, len(found.table))
        self.swap.drop(one.request.id)
        return len(back)

    def put_aside(self, one: Sequence) -> None:
        """Keep what was computed of a sequence that is about to give its pages back. Raises
        EngineLost."""
        pages = one.pages[: pages_for(one.computed)]
        self.swap.put_aside(one.request.id, pages, one.computed)

    def index_back(self, one: Sequence) -> None:
        """Let others find what was put back of one that was admitted: once all of a step are, who
        were decided on without."""
        if self.swap.most and not self.sight.recent:
            self.index(one, one.computed)

    def reserve(self, one: Sequence, tokens: int) -> None:
        """Pages for so many of its tokens; that there are enough was decided before."""
        for _ in range(pages_for(tokens) - len(one.pages)):
            one.pages.append(self.pool.allocate(one.request.tenant, one.request.share))

    def lend(self, pages: list[int], count: int, one: Sequence) -> None:
        """So many pages more, for a step that a sequence is part of: its tenant's, until they are
        released."""
        for _ in range(count):
            pages.append(self.pool.allocate(one.request.tenant, one.request.share))

    def index(self, one: Sequence, count: int) -> None:
        """Let others find the pages that the last `count` tokens filled."""
        first, end = (one.computed - count) // PAGE_SIZE, one.computed // PAGE_SIZE
        if first < end and self.pool.prefix_cache:
            names = one.name_pages(one.computed)
            for page in range(first, end):
                self.pool.index(one.pages[page], names[page])

    def give_back_unseen(self, one: Sequence) -> None:
        """Its pages go that nothing sees any more, and in their place stands the next one: what
        reads some of them, whole blocks of keys at a time, reads nobody else's."""
        behind, before = self.sight.behind(one.computed), one.behind
        if len(behind) > len(before):
            gone = one.pages[before.stop if before else behind.start : behind.stop]
            one.pages[behind.start : behind.stop] = ints([one.pages[behind.stop]]) * len(behind)
            one.behind = behind
            self.pool.let_go(gone)

    def forget(self, one: Sequence) -> None:
        """Nobody finds what was computed of it: who shares it must not inherit what is there."""
        self.pool.forget(one.held)
        if one.behind:
            names = one.name_pages(one.computed)[one.behind.start : one.behind.stop]
            self.pool.forget([page for page in self.pool.find_each(names) if page is not None])

    def give_back(self, one: Sequence) -> None:
        """It holds nothing any more, and must be computed anew."""
        self.pool.end(one.request.id, one.held)
        one.pages, one.computed, one.behind = ints(), 0, NONE
        if one.proposal is not None:
            one.proposal.give_back()

    def pin(self, one: Sequence) -> None:
        """Keep its prompt's full pages, as far as they were computed."""
        request = one.request
        names = one.name_pages(min(one.computed, len(request.prompt)))
        self.pool.pin(names, request.tenant, request.share)
