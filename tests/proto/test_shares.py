"""Nobody fills a bounded thing for everybody: arithmetic, by tables and by chance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.proto.shares import Shares


def having(total: int, **held: int) -> Shares:
    """Shares of which tenants took so much, one after another, when there was room for it."""
    shares = Shares(total)
    for tenant, amount in held.items():
        assert shares.take(tenant, amount)
    return shares


def test_who_is_alone_may_have_all() -> None:
    shares = having(12, bob=12)

    assert shares.room("bob") == 0


@pytest.mark.parametrize(
    ("held", "most"),
    [
        ({"bob": 12}, 6),
        ({"bob": 9}, 6),
        ({"bob": 3}, 9),
        ({"bob": 12, "carol": 6}, 4),
        ({"bob": 12, "alice": 2}, 4),
        ({"bob": 2, "alice": 9}, 1),
    ],
)
def test_what_one_may_still_take_beside_others(held: dict[str, int], most: int) -> None:
    """Its own part whatever they have, and all that they have left."""
    shares = having(12, **held)

    assert shares.room("alice") == most


def test_who_is_above_its_part_gets_nothing_more_until_it_has_given_back() -> None:
    """So that what others took beside it comes back into the total."""
    shares = having(12, bob=12, alice=6)
    shares.give_back("bob", 6)
    assert not shares.take("bob", 1)
    shares.give_back("bob", 1)

    assert shares.take("bob", 1)
    assert (shares.held("bob"), shares.used) == (6, 12)


def test_who_has_given_all_back_is_not_counted() -> None:
    shares = having(12, bob=6, alice=6)
    shares.give_back("alice", 6)

    assert (shares.part("bob"), shares.part("alice")) == (12, 6)


def test_what_is_refused_changes_nothing() -> None:
    shares = having(4, bob=4)

    assert not shares.take("bob", 1)
    assert not shares.take("alice", 3)
    assert (shares.used, shares.part("bob")) == (4, 4)


def test_nothing_may_be_taken_of_it() -> None:
    """As by a call whose cost turns out to be none."""
    shares = having(4, bob=4)

    assert shares.take("alice", 0)
    assert shares.part("bob") == 4


def test_more_cannot_be_given_back_than_was_taken() -> None:
    """It would be given to others twice."""
    with pytest.raises(AssertionError, match="alice gives back 3, and has 2"):
        having(4, alice=2).give_back("alice", 3)


def test_the_greediest_is_who_has_most() -> None:
    assert having(12, alice=1, bob=5, carol=5).greediest == "bob"


WEIGHED = {"half": 0.5, "one": 1.0, "two": 2.0}


def test_parts_are_by_share() -> None:
    """Whoever came first, and whatever is left is anybody's."""
    shares = Shares(14, WEIGHED.__getitem__)
    assert shares.take("half", 14)
    assert (shares.part("half"), shares.part("one"), shares.part("two")) == (14, 9, 11)
    assert shares.take("two", 11) and not shares.take("two", 1)
    assert shares.take("one", 4) and not shares.take("one", 1)

    assert [shares.part(name) for name in WEIGHED] == [2, 4, 8]


def test_the_greediest_is_who_has_most_by_its_share() -> None:
    shares = Shares(20, WEIGHED.__getitem__)
    for tenant, amount in (("two", 10), ("one", 4), ("half", 3)):
        shares.take(tenant, amount)
    assert shares.greediest == "half"
    shares.give_back("half", 1)

    assert shares.greediest == "two"


def test_a_share_counts_as_it_is_when_a_tenant_takes() -> None:
    """Keys change while a cluster serves; nothing is left of a share that was."""
    told = {"bob": 1.0, "alice": 1.0}
    shares = Shares(12, told.__getitem__)
    shares.take("bob", 12)
    told["alice"] = 3.0
    assert shares.part("alice") == 9
    shares.take("alice", 9)
    told["alice"] = 0.1
    shares.give_back("alice", 9)

    assert (shares.part("bob"), shares.room("bob")) == (12, 0)


STEPS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(-9, 20)), max_size=60)


@given(total=st.integers(0, 24), steps=STEPS)
def test_everybody_has_a_part_and_all_together_are_bounded(
    total: int, steps: list[tuple[str, int]]
) -> None:
    """Whatever is taken and given back: a tenant within its part is never refused, what is free
    never stays so while somebody wants it, and no more is taken than the total times a harmonic
    number."""
    shares = Shares(total)
    for tenant, amount in steps:
        if amount < 0:
            shares.give_back(tenant, min(-amount, shares.held(tenant)))
            continue
        active = sum(shares.held(one) > 0 for one in "abcde" if one != tenant) + 1
        had, used = shares.held(tenant), shares.used
        within, free = (had + amount) * active <= total, used + amount <= total

        assert shares.take(tenant, amount) is (within or free)
        assert shares.held(tenant) == had + amount * (within or free)
        active = sum(shares.held(one) > 0 for one in "abcde")
        assert shares.used == sum(map(shares.held, "abcde"))
        assert shares.used <= total * sum(1 / j for j in range(1, active + 1))
