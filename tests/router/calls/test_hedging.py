"""When to try a second worker."""

import random
from typing import cast

from raylax.router.calls.hedging import HedgePolicy
from raylax.router.fleet.table import Fleet, WorkerView


def fleet(kv: float = 0.0, workers: int = 2) -> Fleet:
    return Fleet.of([WorkerView(f"w{i}", kv=kv, kv_capacity=100) for i in range(workers)])


def test_hedges_are_off_by_default() -> None:
    assert HedgePolicy().delay_s(1.0) is None


def test_hedges_keep_to_their_share_of_requests() -> None:
    hedge_policy = HedgePolicy(share=0.02)
    for _ in range(1000):
        hedge_policy.began()

    assert sum(hedge_policy.allowed(fleet()) for _ in range(1000)) == 20


def test_no_hedge_under_load_or_without_a_second_worker() -> None:
    hedge_policy = HedgePolicy(share=1.0, requests=100)

    assert not hedge_policy.allowed(fleet(kv=80))
    assert not hedge_policy.allowed(fleet(workers=1))
    assert hedge_policy.allowed(fleet(kv=60))


def test_the_delay_is_what_19_of_20_first_tokens_need() -> None:
    """Whatever the predictions are wrong by."""
    hedge_policy, rng = HedgePolicy(share=0.02), random.Random(3)
    for _ in range(5000):
        hedge_policy.answered(1.0, rng.uniform(0.0, 4.0))

    assert 3.6 < cast(float, hedge_policy.delay_s(1.0)) < 4.0
