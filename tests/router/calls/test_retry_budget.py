"""How many requests may move at once."""

from raylax.router.calls.retry_budget import MOVES_AT_ONCE, RetryBudget


def test_moves_have_a_budget_that_comes_back() -> None:
    budget = RetryBudget()
    taken = sum(budget.take(0.0) for _ in range(2 * MOVES_AT_ONCE))

    assert taken == MOVES_AT_ONCE
    assert budget.take(1.0)
