"""Several models on one pool that is too small."""

import pytest

from raylax.cluster.autoscaling.pool import Claim, Pool, share

U = 0.85


def claim(
    model: str, wish: int, has: int, work: float, weight: float = 1, cost: float = 1, least: int = 0
) -> Claim:
    return Claim(model, wish, has, work, U, weight, cost, least)


def test_what_fits_is_granted() -> None:
    claims = [claim("a", 3, 1, 2.0), claim("b", 5, 5, 4.0)]

    assert Pool(8).grant(0, claims, 60) == {"a": 3, "b": 5}


def test_a_gpu_goes_to_where_it_saves_most() -> None:
    """Two workers bring all of a's work in time; of b's, five would be needed."""
    assert share(5, [claim("a", 2, 0, 1.6), claim("b", 5, 0, 4.0)])["a"] == 2


def test_one_alone_may_save_nothing_and_all_together_do() -> None:
    """Whoever lacks one of four gains nothing by it until the fourth is there."""
    assert share(4, [claim("a", 4, 0, 3.3)]) == {"a": 4}


def test_weight_decides_between_equals() -> None:
    equal = [claim("a", 3, 0, 2.4), claim("b", 3, 0, 2.4, weight=2)]

    assert share(3, equal) == {"a": 0, "b": 3}


def test_a_worker_of_two_gpus_must_save_twice_as_much() -> None:
    assert share(2, [claim("a", 1, 0, 0.8, cost=2), claim("b", 2, 0, 1.6)]) == {"a": 0, "b": 2}


def test_what_one_has_counts_for_more() -> None:
    """By half, so that equals do not swing."""
    assert share(3, [claim("a", 3, 0, 2.5), claim("b", 3, 3, 2.4)]) == {"a": 0, "b": 3}


def test_nothing_is_torn_down_between_two_shares() -> None:
    """Shared anew once in two starts; until then who has keeps what it still wants."""
    pool = Pool(4)
    before = [claim("a", 4, 4, 3.3), claim("b", 1, 0, 0.1)]
    after = [claim("a", 4, 4, 3.3), claim("b", 4, 0, 3.3, weight=9)]

    assert pool.grant(0, before, 60)["a"] in (3, 4)
    assert pool.grant(100, after, 60) == {"a": 4, "b": 0}
    assert pool.grant(120, after, 60) == {"a": 0, "b": 4}


def test_a_pool_that_becomes_smaller_is_shared_anew() -> None:
    pool = Pool(8)
    claims = [claim("a", 5, 5, 4.0), claim("b", 5, 3, 4.0)]
    pool.grant(0, claims, 60)
    pool.total = 5

    assert sum(pool.grant(2, claims, 60).values()) == 5


def test_who_is_asked_keeps_a_worker() -> None:
    """However much another one would gain by it; without any its requests are lost, not late."""
    small, large = claim("a", 1, 1, 0.1, least=1), claim("b", 3, 0, 2.4, weight=9, least=1)

    assert share(3, [small, large]) == {"a": 1, "b": 2}


def test_who_has_none_does_not_wait_until_the_pool_is_shared_anew() -> None:
    pool = Pool(3)
    pool.grant(0, [claim("a", 3, 3, 2.5, least=1), claim("b", 1, 0, 0.1)], 60)
    woken = [claim("a", 3, 3, 2.5, least=1), claim("b", 1, 0, 0.1, least=1)]

    assert pool.grant(2, woken, 60) == {"a": 2, "b": 1}


def test_of_a_single_gpu_whoever_has_it_keeps_it() -> None:
    """Two who both need it would else take it from each other for ever."""
    claims = [claim("a", 1, 0, 0.5, least=1), claim("b", 1, 1, 0.1, least=1)]

    assert share(1, claims) == {"a": 0, "b": 1}


def test_what_saves_nobody_is_shared_evenly() -> None:
    """Both have more work than all of the pool could do."""
    assert share(4, [claim("a", 4, 0, 9.0), claim("b", 4, 0, 9.0)]) == {"a": 2, "b": 2}


@pytest.mark.parametrize("total", [0, 3, 7, 50])
def test_no_more_is_granted_than_is_there(total: int) -> None:
    claims = [claim("a", 5, 1, 4.0), claim("b", 9, 2, 7.0, weight=3), claim("c", 2, 0, 1.5, cost=2)]
    got = share(total, claims)

    assert sum(got[one.model] * one.cost for one in claims) <= total
    assert all(0 <= got[one.model] <= one.wish for one in claims)
