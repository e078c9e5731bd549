"""What tenants have had: counters that only grow."""

import pytest

from raylax.proto.fair_share import REMEMBERED, FairShareCounters


@pytest.mark.parametrize(
    ("charges", "had"),
    [
        ([], (0, 0)),
        ([("a", 5), ("a", 2)], (7, 0)),
        ([("a", 5), ("b", 0.5), ("a", 1)], (6, 0.5)),
    ],
)
def test_charges_add_up(charges: list[tuple[str, float]], had: tuple[float, float]) -> None:
    """For each tenant by itself."""
    counters = FairShareCounters()
    for tenant, tokens in charges:
        counters.charge(tenant, tokens)

    assert (counters["a"], counters["b"]) == had


@pytest.mark.parametrize(("had", "lifted"), [(0, 20), (5, 20), (20, 20), (50, 50)])
def test_who_comes_back_is_lifted_but_never_lowered(had: float, lifted: float) -> None:
    counters = FairShareCounters()
    counters.charge("a", had)
    counters.lift("a", least=20)

    assert counters["a"] == lifted


def test_a_stream_of_tenants_is_not_kept_for_ever() -> None:
    """Those are forgotten who would be lifted above what they have had anyway."""
    counters = FairShareCounters()
    counters.charge("greedy", 10**9)
    for i in range(5 * REMEMBERED):
        counters.lift(f"t{i}", least=i)
        counters.charge(f"t{i}", 1)

    assert len(counters) <= REMEMBERED + 1
    assert counters["greedy"] == 10**9


def test_all_may_start_anew() -> None:
    counters = FairShareCounters()
    counters.charge("a", 5)
    counters.clear()

    assert (len(counters), counters["a"]) == (0, 0)
