"""Trees of drafts: other tokens that may follow a sequence, verified in the same step as its draft.

A branch is computed like a sequence that shares the full pages of the one it leaves, and has what
lies behind them anew. So its rows have the bits that they would have without any draft (law 1), in
whatever order a kernel sums up its keys: were the tokens of all branches to lie behind each other,
under a mask, a key would be another one's neighbour than it is when it has been drawn.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.scheduling.holdings import Holdings
from raylax.worker.scheduling.sequence import Sequence, ints
from raylax.worker.scheduling.step_plan import Work


@dataclass(slots=True)
class Branch:
    """A token that may follow a sequence in the place of the first one of its draft. While its step
    is under way it has pages of its own behind the full ones that it shares."""

    one: Sequence
    draft: list[int]
    pages: "list[int]"
    computed: int
    """Tokens of the full pages."""
    drawn: list[DrawResult] = field(default_factory=list)
    """What came of it."""

    @property
    def tokens(self) -> Several[int]:
        """Those of the sequence."""
        return self.one.tokens

    @property
    def count(self) -> int:
        """Tokens that it computes."""
        return len(self.one.tokens) - self.computed + len(self.draft)

    @property
    def wanted(self) -> int:
        """Rows: behind the sequence's last token, and behind its own."""
        return 1 + len(self.draft)


def branched(batch: Several[Work], holdings: Holdings, tokens: int, rows: int) -> Iterator[Branch]:
    """Branches of a step that has so many tokens and rows left, as far as pages are free: none that
    others might find something in is given up for them."""
    for one, _, wanted in batch:
        if wanted < 2 or one.proposal is None:
            continue  # where no draft pays, no branch does
        full = one.computed // PAGE_SIZE
        for token in one.proposal.others:
            made = Branch(one, [token], one.pages[:full].tolist(), full * PAGE_SIZE)
            own = pages_for(made.computed + made.count) - full
            if made.count > tokens or made.wanted > rows or own > holdings.pool.free:
                return
            holdings.lend(made.pages, own, one)
            tokens, rows = tokens - made.count, rows - made.wanted
            yield made


def take(holdings: Holdings, branch: Branch) -> None:
    """Its sequence goes on along the branch, whose pages are the sequence's from now on."""
    one, full = branch.one, branch.computed // PAGE_SIZE
    holdings.pool.release(one.pages[full:])
    one.pages, branch.pages = ints(branch.pages), branch.pages[:full]
    if one.proposal is not None:
        one.proposal.take_branch()


def drop(holdings: Holdings, branches: Several[Branch]) -> None:
    """Their own pages are free again."""
    for branch in branches:
        holdings.pool.release(branch.pages[branch.computed // PAGE_SIZE :])
