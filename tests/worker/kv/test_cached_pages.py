"""Whose pages are given up: those of who has most by its share, the oldest first."""

import random
from collections import OrderedDict

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.pages import PAGE_SIZE, ROOT, chain, names_of, root_of
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.outputs import saying

VOCAB = 5000


def keep(pool: PagePool, tenant: str, count: int, share: float = 1.0, first: int = 0) -> list[int]:
    """Cached pages of a tenant, named by it and by numbers from `first` on."""
    kept = []
    for number in range(first, first + count):
        page = pool.allocate(tenant, share)
        pool.index(page, chain(root_of(tenant, ""), [number] * PAGE_SIZE))
        pool.release([page])
        kept.append(page)
    return kept


def held(pool: PagePool, *tenants: str) -> tuple[int, ...]:
    return tuple(pool.held(tenant) for tenant in tenants)


def test_who_floods_gives_up_its_own() -> None:
    pool = PagePool(10)
    keep(pool, "alice", 3)
    keep(pool, "greedy", 100)

    assert held(pool, "alice", "greedy") == (3, 7)


def test_who_has_more_than_its_part_gives_it_to_others() -> None:
    """Whoever came first; and no more of it than that."""
    pool = PagePool(12)
    keep(pool, "greedy", 12)
    keep(pool, "alice", 12)
    keep(pool, "bob", 12)

    assert held(pool, "greedy", "alice", "bob") == (4, 4, 4)


def test_parts_are_by_share() -> None:
    pool = PagePool(12)
    for turn in range(12):
        keep(pool, "half", 3, 0.5, 3 * turn)
        keep(pool, "one", 3, 1.0, 3 * turn)

    assert held(pool, "half", "one") == (4, 8)


def test_a_share_counts_as_it_was_said_last() -> None:
    pool = PagePool(12)
    keep(pool, "alice", 6)
    keep(pool, "bob", 6)
    keep(pool, "bob", 6, 3.0, first=6)

    assert held(pool, "alice", "bob") == (3, 9)


def test_pages_in_use_count() -> None:
    """Who has long sequences that run gives up what it has cached before who has cached some."""
    pool = PagePool(10)
    keep(pool, "alice", 2)
    running = [pool.allocate("greedy") for _ in range(5)]
    keep(pool, "greedy", 3)
    keep(pool, "bob", 3)

    assert held(pool, "alice", "greedy", "bob") == (2, 5, 3)
    assert pool.used == len(running)


def test_what_is_free_is_taken_first() -> None:
    pool = PagePool(10)
    keep(pool, "greedy", 8)
    keep(pool, "alice", 2)

    assert held(pool, "greedy", "alice") == (8, 2)


def test_a_shared_page_is_whose_who_began_to_use_it_last() -> None:
    """So who goes on using it keeps it, whoever made it and floods the engine."""
    pool = PagePool(10)
    (page,) = keep(pool, "greedy", 1)
    pool.acquire([page], "alice")
    pool.release([page])
    keep(pool, "greedy", 100, first=1)

    assert pool.is_cached(page)
    assert held(pool, "alice", "greedy") == (1, 9)


def test_pages_of_who_has_left_are_forgotten_as_theirs() -> None:
    pool = PagePool(4)
    keep(pool, "alice", 4)
    pool.drop_cached()

    assert (held(pool, "alice"), pool.free) == ((0,), 4)


def test_a_tenant_alone_gives_up_in_the_order_of_last_use() -> None:
    """Page by page what one list for all would give, whatever happens."""
    rng, pool = random.Random(11), PagePool(12)
    names = [chain(ROOT, [number] * PAGE_SIZE) for number in range(30)]
    oldest_first: OrderedDict[int, None] = OrderedDict()
    running: list[int] = []
    for _ in range(3000):
        if running and (not pool.available or rng.random() < 0.5):
            page = running.pop(rng.randrange(len(running)))
            pool.release([page])
            if page in pool._name_of:
                oldest_first[page] = None
        elif found := pool.find([rng.choice(names)]):
            if pool._references[found[0]] == 0:
                pool.acquire(found, "alice")
                del oldest_first[found[0]]
                running += found
        else:
            next_one = None if pool.free else next(iter(oldest_first))
            page = pool.allocate("alice")
            assert next_one in (None, page)
            oldest_first.pop(page, None)
            pool.index(page, rng.choice(names))
            running.append(page)
        assert list(oldest_first) == list(pool._cached)


def echo(plan: StepPlan) -> StepOutput:
    return saying(plan.batch.tokens[plan.batch.rows], VOCAB)


class Clients:
    """Tenants who ask one after another, of a batch of so many pages."""

    def __init__(self, pages: int) -> None:
        self.pool, self.asked, self.now = PagePool(pages), 0, 0.0
        self.batch = Batch(Roster(self.pool, lambda: self.now), StepLimits(256, 8), echo)

    def ask(self, tenant: str, prompt: list[int], share: float = 1.0) -> int:
        """The cached tokens of a request of two tokens, which runs to its end."""
        self.asked += 1
        greedy, cached = Sampling(temperature=0.0), self.batch.counters.cached_tokens
        self.batch.roster.add(
            Sequence(
                Request(
                    f"r{self.asked}", tuple(prompt), 2, greedy,
                    tenant=tenant, share=share, page_root=root_of(tenant, ""),
                )
            )
        )  # fmt: skip
        while self.batch.roster.runnable:
            self.batch.step()
            self.now += 0.01
        return self.batch.counters.cached_tokens - cached


def test_a_flood_of_prompts_leaves_anothers_system_prompt() -> None:
    """A thousand different prompts, of ten times the pages that there are."""
    clients, system = Clients(400), list(range(512))
    clients.ask("alice", [*system, 1, 2, 3])
    for number in range(1000):
        clients.ask("greedy", [number % VOCAB, *range(60)])
    assert len(list(names_of(range(60)))) * 1000 > 400

    assert clients.ask("alice", [*system, 4, 5, 6]) == 512


@pytest.mark.parametrize("share", [0.1, 1.0, 10.0])
def test_alone_a_tenant_has_all_pages(share: float) -> None:
    """Whatever its share: prompts of nine tenths of the pages are all found again."""
    clients = Clients(400)
    prompts = [[number, *range(159)] for number in range(36)]
    for prompt in prompts:
        clients.ask("alice", prompt, share)

    assert [clients.ask("alice", prompt, share) for prompt in prompts] == [144] * 36
