"""What is due to whom, and who gets what of a total that is too small."""

import random

import pytest

from raylax.worker.scheduling.decision.division import ALONE, Division, divided, dues


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (256, {"a": 1.0, "b": 1.0}, {"a": 128, "b": 128}),
        (256, {"a": 3.0, "b": 1.0}, {"a": 192, "b": 64}),
        (10, {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 3, "b": 3, "c": 3}),
        (2, {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 1, "b": 1, "c": 1}),
        (256, {"a": 1000.0, "b": 0.001}, {"a": 255, "b": 1}),
    ],
)
def test_dues_follow_the_shares(
    total: int, shares: dict[str, float], expected: dict[str, int]
) -> None:
    """And nobody's is nothing."""
    assert dues(total, shares) == expected


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"a": 10, "b": 20}, {"a": 10, "b": 20}),
        ({"a": 500, "b": 20}, {"a": 80, "b": 20}),
        ({"a": 500, "b": 500}, {"a": 75, "b": 25}),
        ({"a": 500, "b": 500, "c": 10}, {"a": 67, "b": 23, "c": 10}),
        ({"b": 500}, {"b": 100}),
        ({}, {}),
    ],
)
def test_what_one_leaves_others_get(wanted: dict[str, int], given: dict[str, int]) -> None:
    """Those who want more than their part."""
    assert divided(100, wanted, {"a": 3.0, "b": 1.0, "c": 1.0}) == given


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_wasted_and_nobody_is_left_out(seed: int) -> None:
    """As long as there is one for each; and who gets less than it wants has its part."""
    rng = random.Random(seed)
    shares = {f"t{i}": rng.choice([0.001, 0.3, 1.0, 7.0, 1000.0]) for i in range(rng.randint(1, 9))}
    for _ in range(50):
        wanted = {tenant: rng.randint(1, 300) for tenant in shares if rng.random() < 0.8}
        total = rng.randint(len(wanted), 500)
        given = divided(total, wanted, shares)

        assert given.keys() == wanted.keys()
        assert sum(given.values()) == min(total, sum(wanted.values()))
        whole = sum(shares[tenant] for tenant in wanted)
        for tenant, tokens in wanted.items():
            part = total * shares[tenant] / whole
            assert 1 <= given[tenant] <= tokens
            assert given[tenant] >= min(tokens, int(part) - len(wanted))


def test_one_tenant_shares_with_nobody() -> None:
    assert Division.among({"a": 2.0}, {"a": 2.0}, 4, 100, {}) is ALONE
    assert not Division.among({}, {}, 4, 100, {})


def test_who_waits_and_holds_less_than_its_due_claims_the_rest() -> None:
    division = Division.among({"a": 1.0, "b": 1.0, "d": 4.0}, {"b": 1.0, "c": 2.0}, 16, 100, {})

    assert division.seats == {"a": 2, "b": 2, "d": 8, "c": 4}
    assert division.claims({"a": 5, "b": 1}) == {"b": 1, "c": 4}
