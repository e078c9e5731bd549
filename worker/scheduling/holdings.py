"""What sequences hold of the pool: pages that are found, taken, named when they are full, and given
back. Every reference to a page that a sequence has comes and goes here (law 3)."""

from dataclasses import dataclass

from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.sequence import Sequence, ints


@dataclass(frozen=True, slots=True)
class Holdings:
    """The pages of sequences, in a pool."""

    pool: PagePool

    def find(self, one: Sequence) -> list[int]:
        """The pages of its known beginning; at least its last token is computed, for its logits,
        and all tokens of which a state is still to be read."""
        if not self.pool.prefix_cache:
            return []
        most = len(one.tokens) - 1
        if one.pooled is not None:
            most = min(most, one.pooled.tokens)
        return self.pool.find(one.name_pages(most))

    def known(self, one: Sequence) -> int:
        """Tokens of its known beginning, as it is now."""
        return len(self.find(one)) * PAGE_SIZE

    def take_known(self, one: Sequence) -> None:
        """Let a sequence that holds nothing begin behind what is known of it."""
        found = self.find(one)
        self.pool.acquire(found, one.request.tenant, one.request.share)
        one.pages, one.computed = ints(found), len(found) * PAGE_SIZE

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

    def give_back(self, one: Sequence) -> None:
        """It holds nothing any more, and must be computed anew."""
        self.pool.end(one.request.id, one.pages)
        one.pages, one.computed = ints(), 0
        if one.proposal is not None:
            one.proposal.give_back()

    def pin(self, one: Sequence) -> None:
        """Keep its prompt's full pages, as far as they were computed."""
        request = one.request
        names = one.name_pages(min(one.computed, len(request.prompt)))
        self.pool.pin(names, request.tenant, request.share)
