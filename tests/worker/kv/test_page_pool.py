"""Pages: free, used or cached, and found by what they hold."""

import random

import pytest

from raylax.proto.pages import PAGE_SIZE, ROOT, chain, router_key
from raylax.worker.kv.page_pool import PageChanges, PagePool

TOKENS = list(range(PAGE_SIZE))
A = chain(ROOT, TOKENS)
B = chain(A, TOKENS)
C = chain(B, TOKENS)


def filled(pool: PagePool, *names: bytes) -> list[int]:
    """A sequence's pages, indexed under these names."""
    pages = [pool.allocate() for _ in names]
    for page, name in zip(pages, names, strict=True):
        pool.index(page, name)
    return pages


def test_a_name_tells_all_tokens_up_to_its_page() -> None:
    """Neither other tokens nor another beginning have the same."""
    assert len({A, B, C, chain(ROOT, TOKENS[::-1]), chain(ROOT, TOKENS[:-1])}) == 5
    assert chain(A, TOKENS) == B


def test_a_page_goes_from_free_to_used_to_cached_and_back() -> None:
    pool = PagePool(3)
    (page,) = filled(pool, A)
    assert repr(pool) == "PagePool(free=2, cached=0, used=1)"
    pool.release([page])
    assert repr(pool) == "PagePool(free=2, cached=1, used=0)"
    pool.acquire([page])
    assert repr(pool) == "PagePool(free=2, cached=0, used=1)"
    pool.release([page])
    pool.drop_cached()
    assert repr(pool) == "PagePool(free=3, cached=0, used=0)"
    assert pool.find([A]) == []


def test_a_page_that_nobody_can_find_is_free_at_once() -> None:
    pool = PagePool(2)
    pool.release([pool.allocate()])

    assert (pool.free, pool.cached) == (2, 0)


def test_a_shared_page_stays_until_the_last_one_leaves() -> None:
    pool = PagePool(2)
    pages = filled(pool, A)
    pool.acquire(pages)
    pool.release(pages)
    assert pool.used == 1
    pool.release(pages)
    assert pool.used == 0


def test_the_longest_known_beginning_is_found() -> None:
    """Up to the first page that is not known, whatever comes after."""
    pool = PagePool(4)
    a, _, c = filled(pool, A, chain(ROOT, [7] * 16), C)

    assert pool.find([A, B, C]) == [a]
    assert pool.find([A]) == [a]
    assert pool.find([B]) == []
    assert pool.find([C]) == [c]


def test_free_pages_are_taken_before_cached_ones() -> None:
    pool = PagePool(2)
    (page,) = filled(pool, A)
    pool.release([page])

    assert pool.allocate() != page
    assert pool.find([A]) == [page]
    assert pool.allocate() == page
    assert pool.find([A]) == []


def test_what_was_used_last_is_kept_longest() -> None:
    """And of one sequence its beginning, which more prompts may share."""
    pool = PagePool(3)
    first, second = filled(pool, A, B)
    (other,) = filled(pool, chain(ROOT, [7] * 16))
    pool.release([other])
    pool.release([first, second])

    assert [pool.allocate() for _ in range(3)] == [other, second, first]


def test_sharing_counts_as_use() -> None:
    pool = PagePool(2)
    (old,), (young,) = filled(pool, A), filled(pool, B)
    pool.release([old])
    pool.release([young])
    pool.acquire([old])
    pool.release([old])

    assert pool.allocate() == young


def test_the_first_page_with_a_content_has_its_name() -> None:
    """A second one with the same content is free when it is released."""
    pool = PagePool(2)
    (first,), (second,) = filled(pool, A), filled(pool, A)
    pool.release([second])

    assert pool.free == 1
    assert pool.find([A]) == [first]


def test_pages_that_were_filled_elsewhere_are_cached() -> None:
    """Their beginning is kept longest, as if a sequence had left them."""
    pool = PagePool(3)
    with pool.cache([A, B]) as pages:
        assert (pool.used, pool.find([A])) == (2, [])

    assert repr(pool) == "PagePool(free=1, cached=2, used=0)"
    assert pool.find([A, B]) == pages
    pool.allocate()
    assert pool.allocate() == pages[1]


def test_pages_that_could_not_be_filled_are_free() -> None:
    pool = PagePool(2)
    with pytest.raises(ValueError, match="no page"), pool.cache([A, B]):
        raise ValueError("no page")

    assert repr(pool) == "PagePool(free=2, cached=0, used=0)"


def test_available_is_what_can_be_taken() -> None:
    pool = PagePool(3)
    pages = filled(pool, A, B)
    pool.release(pages[1:])

    assert pool.available == 2
    assert len({pool.allocate(), pool.allocate()}) == 2
    assert pool.available == 0


def test_without_a_prefix_cache_nothing_is_kept() -> None:
    pool = PagePool(2, prefix_cache=False)
    pool.release(filled(pool, A, B))

    assert (pool.free, pool.find([A])) == (2, [])


def test_changes_tell_what_can_be_found() -> None:
    """From when it is indexed until its page is taken for something else; once."""
    pool = PagePool(2)
    pages = filled(pool, A, B)
    told = [pool.changes(), pool.changes()]
    pool.release(pages)
    pool.acquire(pages[:1])
    told.append(pool.changes())
    pool.allocate()
    told.append(pool.changes())

    assert told == [
        PageChanges(added=(router_key(A), router_key(B))),
        PageChanges(),
        PageChanges(),
        PageChanges(removed=(router_key(B),)),
    ]
    assert not told[1] and told[0] and told[3]


def test_what_came_and_went_in_between_is_not_told() -> None:
    pool = PagePool(1)
    pool.release(filled(pool, A))
    pool.release(filled(pool, B))
    assert pool.changes() == PageChanges(added=(router_key(B),))
    pool.drop_cached()
    pool.release(filled(pool, B))
    assert pool.changes() == PageChanges()
    pool.drop_cached()
    assert pool.changes() == PageChanges(removed=(router_key(B),))


def test_a_second_page_of_a_name_is_no_change() -> None:
    pool = PagePool(2)
    first, second = filled(pool, A), filled(pool, A)
    pool.changes()
    pool.release(second)
    pool.allocate()

    assert not pool.changes()
    assert pool.router_keys() == [router_key(A)]
    assert pool.find([A]) == first


def test_changes_lead_from_names_to_names() -> None:
    """Whatever happens in between, and however seldom one asks; a backlog is bounded."""
    rng = random.Random(3)
    pool, known, held = PagePool(8), set[int](), list[list[int]]()
    names = [chain(ROOT, [i] * PAGE_SIZE) for i in range(20)]
    for _ in range(2000):
        if held and (pool.available < 3 or rng.random() < 0.4):
            pool.release(held.pop(rng.randrange(len(held))))
        elif rng.random() < 0.02:
            pool.drop_cached()
        elif pool.available:
            held.append(filled(pool, rng.choice(names)))
        if rng.random() < 0.1:
            changes = pool.changes()
            assert not known & set(changes.added)
            assert known >= set(changes.removed)
            assert len(changes.added) + len(changes.removed) <= 2 * pool.total
            known = known.union(changes.added).difference(changes.removed)
            assert known == set(pool.router_keys())


def test_pinned_pages_stay_and_can_be_found() -> None:
    """However many others are asked for; as far as they are known."""
    pool = PagePool(8)
    pages = filled(pool, A, B)
    pool.pin([A, B, C])
    pool.release(pages)
    assert (pool.pinned, pool.available) == (2, 6)
    pool.release([pool.allocate() for _ in range(6)])

    assert pool.find([A, B]) == pages
    assert repr(pool) == "PagePool(free=6, cached=0, used=2)"


def test_of_too_many_pins_the_oldest_go() -> None:
    """A quarter of all pages may be pinned; what is pinned again is young again."""
    pool = PagePool(8)
    for name in (A, B, A, C):
        if not pool.find([name]):
            pool.release(filled(pool, name))
        pool.pin([name])

    assert pool.pinned == 2
    pool.unpin_down_to(1)
    assert [pool.is_cached(pool.find([name])[0]) for name in (A, B, C)] == [True, True, False]


def test_dropping_all_pages_ends_pins() -> None:
    """What a sequence uses stays."""
    pool = PagePool(8)
    used, idle = filled(pool, A), filled(pool, B)
    pool.pin([A])
    pool.pin([B])
    pool.release(idle)
    pool.drop_cached()
    assert (pool.pinned, pool.used, pool.find([B])) == (0, 1, [])
    pool.release(used)

    assert (pool.free, pool.cached) == (7, 1)
