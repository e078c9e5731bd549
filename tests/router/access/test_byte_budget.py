"""How much of a router's memory each tenant gets."""

import asyncio
import random

import pytest

from raylax.proto.errors import Overloaded
from raylax.router.access.byte_budget import ByteBudget, Holding
from raylax.router.access.held_bytes import held_bytes


def holding(budget: ByteBudget, tenant: str, bytes: int = 0) -> Holding:
    made = Holding(budget, tenant, lambda: None)
    made.take(bytes)
    return made


def test_who_is_alone_may_have_all() -> None:
    """And no more than that: who says no gives the rule, the limit and the value."""
    budget = ByteBudget(100, "bodies")
    holding(budget, "a", 60)
    second = holding(budget, "a", 40)

    with pytest.raises(Overloaded) as refused:
        second.take(1)

    assert refused.value.message == (
        "a router holds at most 100 bytes of bodies, it has 100, 100 of them yours, and 1 more "
        "were to come"
    )
    assert refused.value.retry_after_s == 1.0
    second.keep(10)
    second.take(30)
    assert budget.used == 100


def test_who_has_most_gives_way_with_what_rests_longest() -> None:
    """Not with what still grows, and to nobody who has their part already."""
    budget = ByteBudget(100, "bodies")
    old, resting, growing = (holding(budget, "a", 30) for _ in range(3))
    old.take(10)
    alice = holding(budget, "b", 20)

    assert (old.revoked, resting.revoked, growing.revoked) == (False, True, False)
    assert (budget.of("a"), budget.of("b"), budget.used) == (70, 20, 90)
    with pytest.raises(Overloaded):
        alice.take(31)
    assert alice.bytes == 20


def test_what_is_revoked_is_in_no_book() -> None:
    """It may still grow and shrink until its owner hears of it."""
    budget = ByteBudget(10, "bodies")
    gone = holding(budget, "a", 10)
    holding(budget, "b", 4)
    gone.take(100)
    gone.keep(0)

    assert (gone.revoked, gone.bytes, budget.used, budget.of("a")) == (True, 0, 4, 0)


def test_it_is_known_beforehand_what_would_be_refused() -> None:
    budget = ByteBudget(100, "bodies")
    holding(budget, "a", 90)
    budget.check("a", 10)
    budget.check("b", 50)

    for tenant, more in (("a", 11), ("b", 51), ("b", 101)):
        with pytest.raises(Overloaded):
            budget.check(tenant, more)
    assert budget.used == 90


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_kept_from_their_part(seed: int) -> None:
    """Whatever is taken and given back: the sums are right, all of it can be used, and whoever has
    less than an n-th of it gets that."""
    rng = random.Random(seed)
    budget = ByteBudget(1000, "bodies")
    held: list[Holding] = []
    for _ in range(400):
        held = [one for one in held if not one.revoked and one.bytes]
        if held and rng.random() < 0.3:
            one = rng.choice(held)
            one.keep(rng.randrange(one.bytes + 1))
            continue
        one = (
            rng.choice(held) if held and rng.random() < 0.5 else holding(budget, rng.choice("abcd"))
        )
        more = rng.randrange(1, 400)
        active = len({other.tenant for other in held} | {one.tenant})
        mine = budget.of(one.tenant) + more
        try:
            one.take(more)
            held.append(one)
        except Overloaded:
            assert mine > 1000 / active
            assert budget.used + more > 1000
        held = list(dict.fromkeys(held))

        there = [other for other in held if not other.revoked]
        assert budget.used == sum(other.bytes for other in there) <= 1000
        for tenant in "abcd":
            assert budget.of(tenant) == sum(o.bytes for o in there if o.tenant == tenant)


async def test_who_gives_way_is_told_while_waiting() -> None:
    """And what the block was for ends there."""
    budget = ByteBudget(10, "bodies")

    async def hold() -> None:
        async with held_bytes(budget, "a") as held:
            held.take(10)
            await asyncio.Event().wait()

    holding_all = asyncio.create_task(hold())
    await asyncio.sleep(0)
    async with held_bytes(budget, "b") as mine:
        mine.take(4)
        with pytest.raises(Overloaded, match="10 bytes are needed"):
            await holding_all
        assert budget.used == 4
    assert budget.used == 0


async def test_a_timeout_within_is_the_blocks_own() -> None:
    with pytest.raises(TimeoutError):
        async with held_bytes(ByteBudget(10, "bodies"), "a"), asyncio.timeout(0):
            await asyncio.sleep(1)
