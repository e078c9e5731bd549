"""How many requests may move at once."""

from raylax.router.calls.retry_budget import MOVES_AT_ONCE, MOVES_PER_S, RetryBudget


def taken(budget: RetryBudget, tenant: str, now: float) -> int:
    """How many moves a tenant gets that wants very many."""
    return sum(budget.take(tenant, now) for _ in range(2 * MOVES_AT_ONCE))


def test_moves_have_a_budget_that_comes_back() -> None:
    """Evenly, and never more than there were."""
    budget = RetryBudget()

    assert taken(budget, "bob", 5.0) == MOVES_AT_ONCE
    assert taken(budget, "bob", 6.0) == MOVES_PER_S
    assert taken(budget, "bob", 6.0 + 1.5 / MOVES_PER_S) == 1
    assert taken(budget, "bob", 6.0 + 2.5 / MOVES_PER_S) == 1
    assert taken(budget, "bob", 1000.0) == MOVES_AT_ONCE


def test_the_rush_of_one_tenant_leaves_another_its_moves() -> None:
    budget = RetryBudget()
    taken(budget, "bob", 5.0)

    assert taken(budget, "alice", 5.0) == MOVES_AT_ONCE // 2
    assert taken(budget, "bob", 6.0) == 0
