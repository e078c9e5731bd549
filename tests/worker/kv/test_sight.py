"""Which pages of a sequence nothing sees any more, and which beginnings can be gone on from."""

import random

import pytest

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.kv.sight import ALL, Sight

SIGHTS = [Sight(1), Sight(2), Sight(16), Sight(17), Sight(40), Sight(33, 1), Sight(20, 17)]


@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_pages_are_behind_as_soon_as_no_token_of_theirs_is_seen(sight: Sight) -> None:
    """By the next token and by all that follow, but for the last full one."""
    for computed in range(200):
        seen = {at for at in range(computed + 1) if at < sight.sinks}
        seen |= set(range(max(0, computed + 1 - sight.recent), computed + 1))
        pages = {at // PAGE_SIZE for at in seen}
        full = computed // PAGE_SIZE
        expected = {page for page in range(full) if page not in pages}

        assert set(sight.behind(computed)) == expected - {full - 1 if computed % 16 == 0 else full}


def test_nothing_is_behind_where_all_is_seen() -> None:
    assert not ALL.behind(10_000)


@pytest.mark.parametrize("sight", [*SIGHTS, ALL], ids=str)
def test_the_longest_beginning_has_all_that_is_seen_behind_it(sight: Sight) -> None:
    rng = random.Random(1)
    for _ in range(300):
        there = rng.sample(range(12), rng.randrange(7, 13))
        pages = [at if at in there else None for at in range(rng.randrange(13))]
        complete = [
            end for end in range(len(pages) + 1)
            if all(
                pages[at] is not None or at in sight.behind(end * PAGE_SIZE) for at in range(end)
            )
        ]  # fmt: skip

        assert sight.longest(pages) == complete[-1]
